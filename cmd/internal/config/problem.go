package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in the file.
type Problem struct {
	// Line counts from 1.
	Line int
	// Field is the path of the value, such as accounts[2].state; blank for the file as a whole.
	Field string
	// Text says what is wrong and what is allowed.
	Text string
}

// Error is every mistake that was found in a file.
type Error struct {
	// Name is the file as the caller named it.
	Name string
	// Problems is not empty and in the order of lines.
	Problems []Problem
}

// mostShown bounds what a person is told at once.
const mostShown = 50

// Error gives a line "file:line: field: text" for each problem.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == mostShown {
			fmt.Fprintf(&b, "%s: and %d more", e.Name, len(e.Problems)-i)
			break
		}
		fmt.Fprintf(&b, "%s:%d: ", e.Name, p.Line)
		if p.Field != "" {
			fmt.Fprintf(&b, "%s: ", p.Field)
		}
		b.WriteString(p.Text)
	}
	return b.String()
}

// problems collects mistakes, and the lines of the values that later checks speak of.
type problems struct {
	found []Problem
	lines map[string]int
}

// add records a mistake in a field, on the line of the nearest value around it that is in the file.
// A field that has one already is left at that: the second may follow from the first.
func (p *problems) add(field, format string, args ...any) {
	if slices.ContainsFunc(p.found, func(known Problem) bool { return known.Field == field }) {
		return
	}
	line := 1
	for path := field; ; {
		if n, ok := p.lines[path]; ok {
			line = n
			break
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	p.addAt(line, field, format, args...)
}

func (p *problems) addAt(line int, field, format string, args ...any) {
	p.found = append(p.found, Problem{Line: max(line, 1), Field: field, Text: fmt.Sprintf(format, args...)})
}

// err gives what was found as an error; nil when nothing was.
func (p *problems) err(name string) error {
	if len(p.found) == 0 {
		return nil
	}
	slices.SortStableFunc(p.found, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{Name: name, Problems: p.found}
}
