package loadgen

import (
	"fmt"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
)

// accuracy is the largest relative error of a quantile.
const accuracy = 0.005

// Latencies are durations of which quantiles can be asked.
type Latencies struct {
	sketch *ddsketch.DDSketch
	max    time.Duration
}

func newLatencies() (*Latencies, error) {
	s, err := ddsketch.LogUnboundedDenseDDSketch(accuracy)
	if err != nil {
		return nil, fmt.Errorf("latency sketch: %w", err)
	}
	return &Latencies{sketch: s}, nil
}

func (l *Latencies) add(d time.Duration) {
	d = max(d, 1)
	l.max = max(l.max, d)
	// It fails for values that no duration has.
	_ = l.sketch.Add(float64(d))
}

func (l *Latencies) merge(other *Latencies) error {
	l.max = max(l.max, other.max)
	return l.sketch.MergeWith(other.sketch)
}

// Count is how many there are.
func (l *Latencies) Count() uint64 { return uint64(l.sketch.GetCount()) }

// Max is the largest; 0 when there is none.
func (l *Latencies) Max() time.Duration { return l.max }

// Quantile is the q-quantile within 0.5 %; 0 when there is none.
func (l *Latencies) Quantile(q float64) time.Duration {
	v, err := l.sketch.GetValueAtQuantile(q)
	if err != nil {
		return 0
	}
	return min(time.Duration(v), l.max)
}

// Record is what one caller, or many of them together, saw. It is used by one goroutine.
type Record struct {
	Select *Latencies
	Report *Latencies
	// Pair is a Select with its Report, without the time that the lease was held.
	Pair *Latencies
	// Pairs that ended in full: an account, and its report taken.
	Pairs    uint64
	Plans    uint64
	Refusals uint64
	// Unapplied are reports that were taken but freed nothing.
	Unapplied uint64
	// Errors by gRPC code, or by what else went wrong.
	Errors map[string]uint64
}

// NewRecord is empty.
func NewRecord() (*Record, error) {
	r := &Record{Errors: make(map[string]uint64)}
	for _, l := range []**Latencies{&r.Select, &r.Report, &r.Pair} {
		var err error
		if *l, err = newLatencies(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Merge adds what another saw.
func (r *Record) Merge(other *Record) error {
	for _, l := range [][2]*Latencies{{r.Select, other.Select}, {r.Report, other.Report}, {r.Pair, other.Pair}} {
		if err := l[0].merge(l[1]); err != nil {
			return fmt.Errorf("merge latencies: %w", err)
		}
	}
	r.Pairs += other.Pairs
	r.Plans += other.Plans
	r.Refusals += other.Refusals
	r.Unapplied += other.Unapplied
	for code, n := range other.Errors {
		r.Errors[code] += n
	}
	return nil
}
