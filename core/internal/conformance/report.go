package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Meta is what every record begins with.
type Meta struct {
	Index int      `json:"index"`
	Tags  []string `json:"tags"`
}

// Record gives the record's number.
func (m *Meta) Record() int { return m.Index }

// Has tells whether the record has the tag.
func (m *Meta) Has(tag string) bool { return slices.Contains(m.Tags, tag) }

// Outcome is what came of one record: skipped for a reason, or matched. What was compared
// of it, and a departure may leave part of a skipped one to compare, shows its differences.
type Outcome struct {
	Skip        string
	Differences []string
}

// Report sums up one file.
type Report struct {
	File        string // without extension
	Total       int    // records read
	Matched     int
	Skipped     map[string]int // by reason
	Differences []string       // each with its record's number
}

// Run checks every record of a file. An error means that the file could not be read to its end.
func Run[T any, P interface {
	*T
	Record() int
}](dir, file string, check func(*T) Outcome,
) (*Report, error) {
	r := NewReport(file)
	var err error
	r.Total, err = Each(dir, file, func(record *T) error {
		r.add(P(record).Record(), check(record))
		return nil
	})
	return r, err
}

// NewReport starts the sum of a file whose records are counted by what they hold.
func NewReport(file string) *Report { return &Report{File: file, Skipped: map[string]int{}} }

// Add counts one operation of a record.
func (r *Report) Add(index, operation int, o Outcome) {
	for i, d := range o.Differences {
		o.Differences[i] = fmt.Sprintf("operation %d: %s", operation, d)
	}
	r.Total++
	r.add(index, o)
}

// Compare notes differences that belong to a record as a whole.
func (r *Report) Compare(index int, differences []string) {
	for _, d := range differences {
		r.Differences = append(r.Differences, fmt.Sprintf("record %d: %s", index, d))
	}
}

func (r *Report) add(index int, o Outcome) {
	switch {
	case o.Skip != "":
		r.Skipped[o.Skip]++
	case len(o.Differences) == 0:
		r.Matched++
	}
	r.Compare(index, o.Differences)
}

// SkippedTotal gives the number of records skipped for any reason.
func (r *Report) SkippedTotal() int {
	n := 0
	for _, count := range r.Skipped {
		n += count
	}
	return n
}

// String gives the line "conformance FILE: M/N matched, S skipped (REASON=COUNT …)".
func (r *Report) String() string {
	line := fmt.Sprintf("conformance %s.jsonl: %d/%d matched, %d skipped", r.File, r.Matched, r.Total, r.SkippedTotal())
	if len(r.Skipped) == 0 {
		return line
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r.Skipped)) {
		parts = append(parts, fmt.Sprintf("%s=%d", reason, r.Skipped[reason]))
	}
	return line + " (" + strings.Join(parts, " ") + ")"
}

// Err fails when a record differs, when one is unaccounted for or when there is none. It shows the first differences.
func (r *Report) Err() error {
	const shown = 10
	if len(r.Differences) > 0 {
		first := r.Differences[:min(shown, len(r.Differences))]
		return fmt.Errorf("%s: %d differences:\n%s", r, len(r.Differences), strings.Join(first, "\n"))
	}
	if r.Matched+r.SkippedTotal() != r.Total {
		return fmt.Errorf("%s: %d records unaccounted for", r, r.Total-r.Matched-r.SkippedTotal())
	}
	if r.Total == 0 {
		return fmt.Errorf("%s: no records", r)
	}
	return nil
}
