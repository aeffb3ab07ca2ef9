package core

import "time"

// Clock is where time comes from. It is safe for concurrent use and never blocks.
type Clock interface {
	// Now gives the time; never going back while the process runs.
	Now() time.Time
	// After delivers once, when d has passed; stop gives up waiting and is idempotent.
	After(d time.Duration) (fired <-chan time.Time, stop func())
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now gives the machine's time with its monotonic reading.
func (SystemClock) Now() time.Time { return time.Now() }

// After waits on a timer of the machine's.
func (SystemClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
