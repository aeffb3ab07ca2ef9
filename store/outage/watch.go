package outage

import (
	"context"
	"errors"
	"slices"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// fail begins an outage, unless there is one.
func (s *Store) fail(why error) {
	s.switching.Lock()
	defer s.switching.Unlock()
	p := s.phase.Load()
	if p.island != nil || p.failed != nil || s.life.Err() != nil {
		return
	}
	now := s.clock.Now()
	next := &phase{since: now, failed: why}
	if s.opts.Mode != FailClosed {
		i, err := s.settleIsland(now, p.shares)
		if err != nil {
			s.logger.Error("the store is out of reach, and there is nothing to go on with", "error", err)
		} else {
			next.island = i
		}
	}
	s.mu.Lock()
	s.steady.begin(now)
	s.mu.Unlock()
	s.phase.Store(next)
	s.logger.Warn("the store is out of reach; going on without it", "mode", s.opts.Mode.String(), "error", why)
	s.wake()
}

func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// watch looks at the primary: for its loads while it answers, for its return while it does not.
func (s *Store) watch(ctx context.Context) {
	for {
		pause := viewEvery
		switch p := s.phase.Load(); {
		case p.island != nil || p.failed != nil:
			pause = probeEvery
			s.settled(ctx, p)
			if err := s.recover(ctx); err == nil {
				pause = viewEvery
			}
		default:
			if p.shares != nil {
				pause = probeEvery // what was reported to others makes room
			}
			s.look(ctx, p, pause)
		}
		fired, stop := s.clock.After(pause)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		case <-s.kick:
		}
		stop()
	}
}

// settled gives the island its exact part once the settle time is over.
func (s *Store) settled(ctx context.Context, p *phase) {
	if p.island == nil || s.clock.Now().Before(p.since.Add(s.opts.Settle)) {
		return
	}
	p.island.mu.RLock()
	exact := p.island.exact
	p.island.mu.RUnlock()
	if !exact && s.shareOut(ctx, p.island, true) == nil {
		s.logger.Warn("the outage lasts; each replica has its exact part of the slots now")
	}
}

// look keeps the last view, and finds out that the primary lost its memory, or that a joint phase is over. The next comes after pause.
func (s *Store) look(ctx context.Context, p *phase, pause time.Duration) {
	s.mu.Lock()
	roster, epoch, sessions, registered := s.roster, s.epoch, s.sessions, s.registered
	s.mu.Unlock()
	if !registered {
		return
	}
	ordinals := make([]int32, len(roster.Accounts))
	for n := range ordinals {
		ordinals[n] = int32(n)
	}
	loads, number := make([]decide.Load, len(ordinals)), s.ledger.look()
	if err := s.primary.Loads(ctx, ordinals, loads); err != nil {
		if unavailable(err) && ctx.Err() == nil {
			s.fail(err)
		}
		return
	}
	now, session := s.primary.Epoch(), s.primary.Sessions()
	if epoch != "" && now != epoch {
		if err := s.publish(ctx, true, true); err != nil {
			return // the epoch stays what it was, so it is done at the next look
		}
		s.logger.Warn("the store lost its memory; what this replica holds was published again")
	}
	// A master that took over, or that went on from its files, may lack what was done last.
	if untold := s.untold.Swap(false); epoch != "" && (untold || session != sessions) {
		if s.settle(ctx, s.ends.all()) != nil {
			s.untold.Store(true)
			return
		}
		pause = 0
	}
	if s.deliver(ctx) != nil || s.verify(ctx, pause) != nil {
		return
	}
	seen := &view{inUse: make(map[string]int, len(loads)), look: number}
	for n := range loads {
		seen.inUse[roster.Accounts[n].ID] = int(loads[n].InUse)
	}
	s.view.Store(seen)
	s.ledger.saw(number)
	members := s.primary.Members()
	s.mu.Lock()
	s.epoch, s.sessions = now, session
	if p.shares == nil && len(members) > 0 {
		s.members = members
	}
	s.mu.Unlock()
	if p.shares != nil && s.together(p, members) {
		s.phase.CompareAndSwap(p, &phase{})
		s.logger.Info("the store is shared again")
	}
	if now := s.phase.Load(); now.shares == nil && now.island == nil && now.failed == nil {
		_ = s.part(ctx) // what it could not tell is told at the next look
	}
}

// together tells that every replica of before the outage had time to publish what it holds.
func (s *Store) together(p *phase, members []string) bool {
	now := s.clock.Now()
	if !now.Before(p.until) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if !slices.Contains(members, m) {
			return false
		}
	}
	return !now.Before(p.since.Add(publishTime))
}

// errUnsteady keeps an outage from ending.
var errUnsteady = errors.New("the store does not answer for long enough")

// recover ends an outage if the primary answers: it hears what it missed, and who waits for calls goes on there.
func (s *Store) recover(ctx context.Context) error {
	err := s.primary.Loads(ctx, nil, nil)
	s.mu.Lock()
	roster, epoch := s.roster, s.epoch
	if err != nil {
		s.steady.failed()
	} else if !s.steady.answered(s.clock.Now()) {
		err = errUnsteady
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.primary.Register(ctx, &roster); err != nil {
		return err
	}
	key, err := s.primary.Secret(ctx)
	if err != nil {
		return err
	}
	session := s.primary.Sessions()
	lost := epoch != s.primary.Epoch()
	// Most of it before the calls have to wait.
	if err := s.publish(ctx, true, lost); err != nil {
		return err
	}
	s.switching.Lock()
	defer s.switching.Unlock()
	p := s.phase.Load()
	if err := s.publish(ctx, false, lost); err != nil {
		return err
	}
	now := s.clock.Now()
	next := &phase{shares: map[string]int{}, since: now, until: now.Add(s.opts.Barrier)}
	if p.island != nil {
		next.shares = p.island.own()
	}
	s.mu.Lock()
	s.key, s.registered, s.epoch, s.sessions = key, true, s.primary.Epoch(), session
	s.steady.end(now)
	s.mu.Unlock()
	s.phase.Store(next)
	if p.island != nil {
		p.island.close()
	}
	if s.opts.Recovered != nil {
		s.opts.Recovered(key)
	}
	s.logger.Warn("the store answers again; its slots and this replica's own bind until all have published", "after", now.Sub(p.since))
	return nil
}

// verify asks the primary about what this replica looks after, where the last answer is older than soonest at least: what was reported to another is
// looked after no more, and what a failover lost is taken up again.
func (s *Store) verify(ctx context.Context, soonest time.Duration) error {
	return s.check(ctx, s.ledger.due(s.clock.Now(), soonest))
}

// check asks the primary about leases: one that it does not know is taken up again where it would have its mark if it had ended.
func (s *Store) check(ctx context.Context, leases []entry) error {
	for part := range slices.Chunk(leases, chunk) {
		ids, statuses := make([]core.LeaseID, len(part)), make([]core.EventStatus, len(part))
		for n := range part {
			ids[n] = part[n].lease.ID
		}
		if err := s.primary.StatusOf(ctx, ids, statuses); err != nil {
			return err
		}
		now := s.clock.Now()
		lost := part[:0]
		for n, id := range ids {
			switch {
			case statuses[n] == core.EventApplied:
				s.ledger.lives(id, now)
			case statuses[n] == core.EventUnknown && !s.overdue(&part[n], now):
				lost = append(lost, part[n])
			default:
				s.ledger.drop(id, core.RequestKey{})
			}
		}
		if err := s.adopt(ctx, lost, now); err != nil {
			return err
		}
	}
	return nil
}

// overdue tells that the primary had a lease, and that nobody knows it to have lived for so long that its mark may be over.
func (s *Store) overdue(e *entry, now time.Time) bool {
	return !e.known.IsZero() && e.unheard(now) >= s.opts.MarkTTL/2
}

// adopt has the primary take leases up again; those that ended are looked after no more. One that lives stays with who looks after it,
// unless it was heard of here since.
func (s *Store) adopt(ctx context.Context, leases []entry, since time.Time) error {
	for n := range leases {
		e := &leases[n]
		e.lease.Elsewhere = !e.known.IsZero() && e.heard.Before(since)
	}
	for part := range slices.Chunk(adoptions(leases, s.clock.Now()), chunk) {
		results := make([]core.Adopted, len(part))
		if err := s.primary.Adopt(ctx, part, results); err != nil {
			return err
		}
		now := s.clock.Now()
		for n := range results {
			if results[n].Status == core.EventApplied {
				s.ledger.lives(part[n].Lease.ID, now)
				s.ledger.extend(part[n].Lease.ID, results[n].ExpiresAt, 0)
			} else {
				s.ledger.drop(part[n].Lease.ID, core.RequestKey{})
			}
		}
	}
	return nil
}

// settle tells the primary again what it was told, or might have been.
func (s *Store) settle(ctx context.Context, events []core.Settlement) error {
	for part := range slices.Chunk(events, chunk) {
		if err := s.primary.Settle(ctx, part, make([]core.Settled, len(part))); err != nil {
			return err
		}
	}
	return nil
}

// deliver tells the primary what is kept for it.
func (s *Store) deliver(ctx context.Context) error {
	err := s.pending.tell(chunk, func(part []reported) error {
		events := make([]core.Settlement, len(part))
		for n := range part {
			events[n] = part[n].Settlement
		}
		return s.settle(ctx, events)
	})
	if err != nil {
		return err
	}
	return s.leave(ctx)
}

// publish tells the primary what was reported meanwhile, what this replica holds, and which accounts are to be left alone; again
// says that what it was told before the outage may be lost, and lost that its memory is.
func (s *Store) publish(ctx context.Context, again, lost bool) error {
	if again {
		if err := s.settle(ctx, s.ends.all()); err != nil {
			return err
		}
	}
	if err := s.deliver(ctx); err != nil {
		return err
	}
	p, now := s.phase.Load(), s.clock.Now()
	var overdue, others []entry
	for _, e := range s.ledger.living(now) {
		// A memory that is not lost has the record of a lease that lives: one without has ended, and its mark, too, is over.
		if !lost && s.overdue(&e, now) {
			overdue = append(overdue, e)
		} else {
			others = append(others, e)
		}
	}
	if err := s.check(ctx, overdue); err != nil {
		return err
	}
	if err := s.adopt(ctx, others, p.since); err != nil {
		return err
	}
	if err := s.rejoin(ctx, again); err != nil {
		return err
	}
	i := p.island
	if i == nil {
		return nil
	}
	cooling, err := i.Cooling(ctx)
	if err != nil {
		return err
	}
	for _, c := range cooling {
		if _, err := s.primary.Cool(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

var modeNames = [...]string{LocalShare: "local_share", LocalFull: "local_full", FailClosed: "fail_closed"}

// Modes lists every mode.
func Modes() []Mode { return []Mode{LocalShare, LocalFull, FailClosed} }

// String gives the name that the configuration has.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "invalid"
}
