package loadgen

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Plan says how one round drives its target.
type Plan struct {
	// Callers at once. In an open loop the most that may be under way.
	Callers int
	// Rate of pairs each second in an open loop; 0 is a closed loop.
	Rate float64
	// Poisson arrivals instead of evenly spaced ones.
	Poisson bool
	// Duration after which no pair is started.
	Duration time.Duration
	// Seed of all that is drawn.
	Seed  uint64
	Clock Clock
}

// Caller does one pair after another. It is used by one goroutine.
type Caller interface {
	// Pair does one pair and records it; latency counts from the intended
	// start. It ends what it has begun, whatever becomes of ctx.
	Pair(ctx context.Context, intended time.Time, r *Record)
}

// Driver makes the callers of one round.
type Driver interface {
	Caller(i int) Caller
	// Drain waits until what the callers left under way has ended, and returns
	// what was recorded of it; nil when nothing was. Called once, after all callers.
	Drain(ctx context.Context) (*Record, error)
}

// Round is what one round gave.
type Round struct {
	*Record
	// Elapsed from the start to the end of the last pair.
	Elapsed time.Duration
	// Unsent arrivals were due, but no caller was free until the round was over:
	// the target is slower than the quantiles say.
	Unsent uint64
}

// Throughput is pairs each second.
func (r Round) Throughput() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Pairs) / r.Elapsed.Seconds()
}

// grace is how long after its duration an open loop still hands out arrivals that were due before.
const grace = time.Second

// Run does one round. When ctx ends no more pairs are started, those under way
// end, and what was measured is returned.
func Run(ctx context.Context, p Plan, d Driver) (Round, error) {
	var records []*Record
	for range p.Callers {
		r, err := NewRecord()
		if err != nil {
			return Round{}, err
		}
		records = append(records, r)
	}
	start := p.Clock.Now()
	var due chan time.Time
	if p.Rate > 0 {
		due = make(chan time.Time, p.Callers)
	}
	var callers sync.WaitGroup
	for i, r := range records {
		caller := d.Caller(i)
		callers.Go(func() {
			if due != nil {
				answer(ctx, caller, r, due)
			} else {
				repeat(ctx, p, caller, r)
			}
		})
	}
	var unsent uint64
	if due != nil {
		unsent = dispatch(ctx, p, start, due)
		close(due)
	}
	callers.Wait()
	left, err := d.Drain(ctx)
	if err != nil {
		return Round{}, fmt.Errorf("end of round: %w", err)
	}
	round := Round{Elapsed: p.Clock.Now().Sub(start), Unsent: unsent}
	if left != nil {
		records = append(records, left)
	}
	round.Record, err = merged(records)
	return round, err
}

func merged(records []*Record) (*Record, error) {
	all, err := NewRecord()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if err := all.Merge(r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// repeat is a caller of a closed loop.
func repeat(ctx context.Context, p Plan, c Caller, r *Record) {
	end := p.Clock.Now().Add(p.Duration)
	for now := p.Clock.Now(); now.Before(end) && ctx.Err() == nil; now = p.Clock.Now() {
		c.Pair(ctx, now, r)
	}
}

// answer is a caller of an open loop.
func answer(ctx context.Context, c Caller, r *Record, due <-chan time.Time) {
	for at := range due {
		if ctx.Err() == nil {
			c.Pair(ctx, at, r)
		}
	}
}

// dispatch hands out arrivals as they are due and returns about how many found
// no caller until the round was over. While all callers are busy it falls behind its schedule, but what it
// hands out keeps the time for which it was meant.
func dispatch(ctx context.Context, p Plan, start time.Time, due chan<- time.Time) uint64 {
	closing, cancel := context.WithCancel(ctx)
	defer cancel()
	var alarm sync.WaitGroup
	alarm.Go(func() {
		_ = p.Clock.SleepUntil(closing, start.Add(p.Duration+grace))
		cancel()
	})
	defer alarm.Wait()
	defer cancel()
	times := newArrivals(p.Rate, p.Poisson, p.Seed)
	for after := times.next(); after < p.Duration; after = times.next() {
		at := start.Add(after)
		err := p.Clock.SleepUntil(closing, at)
		if err == nil {
			select {
			case due <- at:
				continue
			case <-closing.Done():
			}
		}
		if ctx.Err() != nil {
			return 0
		}
		return uint64(max(math.Round((p.Duration-after).Seconds()*p.Rate), 1))
	}
	return 0
}
