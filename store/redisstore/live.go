package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"usher.internal/core"
)

const (
	// beatSoon is the pause after a heartbeat that failed, and after the first ones that do not: other replicas are found again one
	// after the other.
	beatSoon = time.Second
	// beatsSoon is how many heartbeats in a row come soon.
	beatsSoon = 5
)

// pulse says when the next heartbeat is due.
type pulse struct{ soon int }

func (p *pulse) next(err error, life time.Duration) time.Duration {
	if err != nil {
		p.soon = beatsSoon
	}
	if p.soon == 0 {
		return life / 3
	}
	p.soon--
	return min(life/3, beatSoon)
}

// live beats until ctx ends: what this replica looks after stands as long as it does.
func (s *Store) live(ctx context.Context) {
	var p pulse
	failing := false
	for ctx.Err() == nil {
		err := s.beat(ctx)
		if failing != (err != nil) && ctx.Err() == nil {
			if failing = err != nil; failing {
				s.logger.Warn("the store does not hear of this replica; what it holds ends if that goes on", "after", s.opts.StoreLeaseTTL, "error", err)
			} else {
				s.logger.Info("the store hears of this replica again")
			}
		}
		fired, stop := s.clock.After(p.next(err, s.opts.StoreLeaseTTL))
		select {
		case <-ctx.Done():
		case <-fired:
		case <-s.reborn:
			p.soon = beatsSoon
		}
		stop()
	}
}

// born tells live that the server's memory is a new one, in which replicas are found again one after the other.
func (s *Store) born() {
	select {
	case s.reborn <- struct{}{}:
	default:
	}
}

// listEvery is how often the accounts are made known that were known before: a place whose account nobody lists for DISUSE
// (lua/prelude.lua), which is far longer, may go to another.
const listEvery = 24 * time.Hour

// beat tells the store that this replica lives, and what it lost of its registration.
func (s *Store) beat(ctx context.Context) error {
	registered := ""
	if r := s.registered.Load(); r != nil {
		registered = *r
	}
	counted := s.counted.now()
	r, err := s.call(ctx, s.scripts.beat, func(_ *table, args []string) []string {
		return append(args, life(s.opts.StoreLeaseTTL), registered)
	})
	if err == nil && r.number() == 0 && registered != "" {
		// A failover may have lost what the last registration changed.
		err = s.registerAgain(ctx, r.known, "")
	} else if listed := s.listed.Load(); err == nil && listed != nil && s.clock.Now().Sub(*listed) >= listEvery {
		err = s.registerAgain(ctx, r.known, r.known.life())
	}
	if err == nil && r.number() == 0 {
		err = s.keyAgain(ctx)
	}
	if err == nil && s.counted.lacking(counted, r.number()) {
		err = s.rejoin(ctx)
	}
	if err != nil {
		s.steady.Store(nil)
		return outage(ctx, err)
	}
	var members []string
	for r.more() {
		members = append(members, r.text())
	}
	s.members.Store(&members)
	if s.steady.Load() == nil {
		now := s.clock.Now()
		s.steady.Store(&now)
	}
	return nil
}

// mayBury tells that a replica without a heartbeat is dead: while the store could not be reached, all were without.
func (s *Store) mayBury() bool {
	since := s.steady.Load()
	return since != nil && s.clock.Now().Sub(*since) >= s.opts.StoreLeaseTTL
}

// lostTake is a take, or a waiter's join or leave, whose answer did not come: whether it was carried out is not known.
type lostTake struct {
	id string // as take_back.lua has it
	// after is when the server carries it out no more.
	after time.Time
}

// lostMost bounds what is taken back; what is beyond it ends by its lifetime.
const lostMost = 1 << 16

// lostTakes are those that are to be taken back.
type lostTakes struct {
	wake chan struct{} // holds one token while there are some

	// mu guards what follows.
	mu   sync.Mutex
	list []lostTake
	// young and old are what was taken back last, young since a time; retell says that it is to be taken back again.
	young, old []lostTake
	since      time.Time
	retell     bool
}

// rememberedFor is how far back at least it is remembered what was taken back: a master that takes over may have the take and not that.
const rememberedFor = 30 * time.Second

func (l *lostTakes) add(t lostTake) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) < lostMost {
		l.list = append(l.list, t)
	}
	l.wakeUp()
}

// lose has a waiter's join or leave taken back whose call did not succeed.
func (s *Store) lose(id core.WaiterID) {
	s.lost.add(lostTake{id: "!" + key(id), after: s.clock.Now().Add(s.opts.Budget)})
}

// due gives takes that the server carries out no more, and when to look again. Only who has it taken back calls it.
func (l *lostTakes) due(now time.Time, most int) (due []lostTake, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retell {
		l.list, l.young, l.old, l.retell = slices.Concat(l.old, l.young, l.list), nil, nil, false
	}
	n := 0
	for n < len(l.list) && n < most && !l.list[n].after.After(now) {
		n++
	}
	if n == 0 && len(l.list) > 0 {
		wait = l.list[0].after.Sub(now)
	}
	return append(due, l.list[:n]...), wait
}

func (l *lostTakes) done(n int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.young) >= lostMost || now.Sub(l.since) >= rememberedFor {
		l.young, l.old, l.since = nil, l.young, now
	}
	l.young = append(l.young, l.list[:n]...)
	l.list = append(l.list[:0:0], l.list[n:]...)
}

// again has what was taken back of late taken back once more.
func (l *lostTakes) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retell = true
	l.wakeUp()
}

// wakeUp says that there are some. mu is held.
func (l *lostTakes) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

const (
	// takeBackStep is how many takes are taken back in one call.
	takeBackStep = 64
	// takeBackRetry is the pause after a call that failed.
	takeBackRetry = 100 * time.Millisecond
	// takeBackMargin is how much later than the last moment it begins: the server's clock is known to about so much.
	takeBackMargin = 20 * time.Millisecond
)

// takeBackLost gives back what takes without an answer may have taken, until ctx ends. It waits until no such take can be
// carried out any more, so that what it gives back stays given back.
func (s *Store) takeBackLost(ctx context.Context) {
	for {
		due, wait := s.lost.due(s.clock.Now().Add(-takeBackMargin), takeBackStep)
		switch {
		case len(due) > 0:
			if s.takeBack(ctx, due) == nil {
				s.lost.done(len(due), s.clock.Now())
				continue
			}
			wait = takeBackRetry
		case wait == 0:
			select {
			case <-ctx.Done():
				return
			case <-s.lost.wake:
				continue
			}
		}
		if !s.pause(ctx, wait) {
			return
		}
	}
}

func (s *Store) takeBack(ctx context.Context, takes []lostTake) error {
	_, err := s.call(ctx, s.scripts.takeBack, func(_ *table, args []string) []string {
		for i := range takes {
			args = append(args, takes[i].id)
		}
		return args
	})
	return err
}

// Self names this replica among the members.
func (s *Store) Self() string { return s.replica }

// Members are the replicas that lived at the last heartbeat, this one included; nil before the first.
func (s *Store) Members() []string {
	if m := s.members.Load(); m != nil {
		return *m
	}
	return nil
}

// Epoch names the life of the server's memory that was met last.
func (s *Store) Epoch() string { return s.table.Load().life() }
