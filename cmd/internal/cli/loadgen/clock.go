package loadgen

import (
	"context"
	"time"
)

// Clock is where a run takes its time from.
type Clock interface {
	// Now may be called by many.
	Now() time.Time
	// SleepUntil returns at t, or earlier with the context's error.
	SleepUntil(ctx context.Context, t time.Time) error
}

// Timers is a Clock made of the runtime's timers, which may come a millisecond late.
type Timers struct{}

// Now is the wall clock with its monotonic part.
func (Timers) Now() time.Time { return time.Now() }

// SleepUntil waits for a timer.
func (Timers) SleepUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Precise is a Clock that hits its times to within about 0.1 ms where the system can.
type Precise struct{ Timers }

// coarse is how late a timer may come.
const coarse = 2 * time.Millisecond

// SleepUntil waits for a timer and lets the system sleep through the rest.
func (p Precise) SleepUntil(ctx context.Context, t time.Time) error {
	if time.Until(t) > coarse {
		if err := p.Timers.SleepUntil(ctx, t.Add(-coarse)); err != nil {
			return err
		}
	}
	nap(time.Until(t))
	return ctx.Err()
}
