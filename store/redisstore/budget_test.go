package redisstore

import (
	"context"
	"errors"
	"testing"
	"time"
)

const (
	ms          = int64(time.Millisecond)
	testBudget  = 50 * time.Millisecond
	testLooking = 2 * time.Millisecond
)

// watched gives a store with one operation that waits from a time on, whose watch is called by hand.
func watched(t *testing.T, now int64) (*Store, *op) {
	t.Helper()
	ended, end := context.WithCancel(t.Context())
	end() // so that nothing is sent
	s := &Store{life: ended, opts: Options{Budget: testBudget}}
	s.ops.every, s.ops.kick = testLooking, make(chan struct{}, 1)
	asked := s.ops.get()
	asked.due.Store(now + int64(testBudget))
	s.enqueue(asked, now)
	return s, asked
}

// TestBudgetEnds: at its time where the watch looks as it should; where it could not look, so much later.
func TestBudgetEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		looks []int64 // in ms, before the watch looks as it should again
		ends  int64
	}{
		"watched":                    {nil, 50},
		"a look comes a bit late":    {[]int64{2, 4, 11}, 50},
		"stood still before it":      {[]int64{2, 4, 40}, 50 + 36},
		"stood still over it":        {[]int64{2, 4, 400}, 50 + 396},
		"stood still from the first": {[]int64{300}, 50 + 300},
		"stood still twice":          {[]int64{2, 400, 402, 500}, 50 + 398 + 98},
	} {
		t.Run(name, func(t *testing.T) {
			const from = 1000 * ms
			s, asked := watched(t, from)
			last := int64(0)
			for _, last = range tt.looks {
				s.lookAfter(from + last*ms)
				if asked.due.Load() == 0 {
					t.Fatalf("it ended at %d ms", last)
				}
			}
			for asked.due.Load() != 0 {
				last++
				s.lookAfter(from + last*ms)
			}
			if last != tt.ends {
				t.Errorf("it ended at %d ms, want %d", last, tt.ends)
			}
			if a := <-asked.done; !errors.Is(a.err, errBudget) {
				t.Errorf("answered %v", a.err)
			}
		})
	}
}

// TestHeldUp: what is asked knows of a standstill before the watch does.
func TestHeldUp(t *testing.T) {
	now := machineTime()
	s, _ := watched(t, now-int64(time.Hour))
	if got := s.heldUp(time.Minute); got < time.Minute || got > time.Minute+testBudget {
		t.Errorf("%v of the last minute", got)
	}
	s.lookAfter(machineTime())
	if got := s.heldUp(time.Minute); got > time.Minute {
		t.Errorf("%v of the last minute, once it was looked", got)
	}
	if got := s.heldUp(-time.Minute); got != 0 {
		t.Errorf("%v of the future", got)
	}
	if got := new(standstills).since(now); got != 0 {
		t.Errorf("%v without one", got)
	}
}

// TestPatience: a call's time ends with the budget; where this process stood still, there is more of it, but not for ever.
func TestPatience(t *testing.T) {
	for name, tt := range map[string]struct {
		late  time.Duration
		held  time.Duration // from the begin on
		again int
		more  time.Duration
	}{
		"in time":                 {},
		"a bit late":              {late: tardy - 1},
		"late":                    {late: time.Second, more: time.Second},
		"late too often":          {late: time.Second, again: rearms},
		"stood still meanwhile":   {held: testBudget - 2, more: testBudget - 2},
		"and late":                {held: testBudget + time.Second, late: time.Second, more: time.Second},
		"stood still some times":  {held: testBudget / 2, again: 1, more: testBudget / 2},
		"stood still, not enough": {held: tardy, late: tardy - 1, more: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Store{opts: Options{Budget: time.Hour}} // its own timer does not end
			ctx, cancel := s.bounded(t.Context())
			defer cancel()
			s.opts.Budget = testBudget
			p := ctx.(*patient) //nolint:forcetypeassert // it is one
			p.due, p.again = p.began+int64(testBudget), tt.again
			now := p.due + int64(tt.late)
			s.ops.held.add(standstill{p.began, p.began + int64(tt.held)})
			if p.used(now); (ctx.Err() == nil) != (tt.more > 0) || tt.more > 0 && p.due != now+int64(tt.more) {
				t.Errorf("error %v, %v more, want %v", ctx.Err(), time.Duration(p.due-now), tt.more)
			}
			if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	}
	parent, end := context.WithCancel(t.Context())
	ctx, cancel := (&Store{opts: Options{Budget: time.Hour}}).bounded(parent)
	defer cancel()
	if ctx.Err() != nil {
		t.Errorf("error %v", ctx.Err())
	}
	if end(); !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("its caller's end: %v", ctx.Err())
	}
}
