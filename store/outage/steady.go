package outage

import "time"

const (
	// calm is how soon after an outage another one means that the primary comes and goes, as one does whose answers take about as long as its budget.
	calm = 10 * time.Second
	// steadyFirst is for how long a primary that comes and goes has to answer before the outage ends. It is twice as long each time, up to
	// steadyMost, which leaves time to publish what this replica holds while the others wait for that.
	steadyFirst = 200 * time.Millisecond
	steadyMost  = publishTime / 2
)

// steadiness keeps an outage from ending with the first answer of a primary that comes and goes: each beginning costs the view of what others hold,
// and a time of being degraded.
type steadiness struct {
	ended time.Time // the outage before
	// wanted is for how long the primary has to answer, and since is when it began to; zero while it does not.
	wanted time.Duration
	since  time.Time
}

func (s *steadiness) begin(now time.Time) {
	s.since = time.Time{}
	if s.ended.IsZero() || now.Sub(s.ended) >= calm {
		s.wanted = 0
		return
	}
	s.wanted = min(max(2*s.wanted, steadyFirst), steadyMost)
}

// failed takes down that the primary did not answer.
func (s *steadiness) failed() { s.since = time.Time{} }

// answered tells whether the primary has answered for long enough.
func (s *steadiness) answered(now time.Time) bool {
	if s.since.IsZero() {
		s.since = now
	}
	return now.Sub(s.since) >= s.wanted
}

func (s *steadiness) end(now time.Time) { s.ended = now }
