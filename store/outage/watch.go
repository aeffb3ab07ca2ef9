package outage

import (
	"context"
	"slices"

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
		i, err := s.settleIsland(now)
		if err != nil {
			s.logger.Error("the store is out of reach, and there is nothing to go on with", "error", err)
		} else {
			next.island = i
		}
	}
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
			s.look(ctx, p)
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

// look keeps the last view, and finds out that the primary lost its memory, or that a joint phase is over.
func (s *Store) look(ctx context.Context, p *phase) {
	s.mu.Lock()
	roster, epoch, registered := s.roster, s.epoch, s.registered
	s.mu.Unlock()
	if !registered {
		return
	}
	ordinals := make([]int32, len(roster.Accounts))
	for n := range ordinals {
		ordinals[n] = int32(n)
	}
	loads := make([]decide.Load, len(ordinals))
	if err := s.primary.Loads(ctx, ordinals, loads); err != nil {
		if unavailable(err) && ctx.Err() == nil {
			s.fail(err)
		}
		return
	}
	now := s.primary.Epoch()
	if epoch != "" && now != epoch {
		if err := s.publish(ctx); err != nil {
			return // the epoch stays what it was, so it is done at the next look
		}
		s.logger.Warn("the store lost its memory; what this replica holds was published again")
	}
	seen := &view{inUse: make(map[string]int, len(loads))}
	for n := range loads {
		seen.inUse[roster.Accounts[n].ID] = int(loads[n].InUse)
	}
	s.view.Store(seen)
	members := s.primary.Members()
	s.mu.Lock()
	s.epoch = now
	if p.shares == nil && len(members) > 0 {
		s.members = members
	}
	s.mu.Unlock()
	if p.shares != nil && s.together(p, members) {
		s.phase.CompareAndSwap(p, &phase{})
		s.logger.Info("the store is shared again")
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

// recover ends an outage if the primary answers: it hears what it missed, and who waits for calls goes on there.
func (s *Store) recover(ctx context.Context) error {
	if err := s.primary.Loads(ctx, nil, nil); err != nil {
		return err
	}
	s.mu.Lock()
	roster := s.roster
	s.mu.Unlock()
	if err := s.primary.Register(ctx, &roster); err != nil {
		return err
	}
	key, err := s.primary.Secret(ctx)
	if err != nil {
		return err
	}
	// Most of it before the calls have to wait.
	if err := s.publish(ctx); err != nil {
		return err
	}
	s.switching.Lock()
	defer s.switching.Unlock()
	p := s.phase.Load()
	if err := s.publish(ctx); err != nil {
		return err
	}
	now := s.clock.Now()
	next := &phase{shares: map[string]int{}, since: now, until: now.Add(s.opts.Barrier)}
	if p.island != nil {
		next.shares = p.island.own()
	}
	s.mu.Lock()
	s.key, s.registered, s.epoch = key, true, s.primary.Epoch()
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

// publish tells the primary what was reported meanwhile, what this replica holds, and which accounts are to be left alone.
func (s *Store) publish(ctx context.Context) error {
	for {
		events := s.pending.first(chunk)
		if len(events) == 0 {
			break
		}
		if err := s.primary.Settle(ctx, events, make([]core.Settled, len(events))); err != nil {
			return err
		}
		s.pending.delivered(len(events))
	}
	now := s.clock.Now()
	for part := range slices.Chunk(adoptions(s.ledger.living(now), now), chunk) {
		results := make([]core.Adopted, len(part))
		if err := s.primary.Adopt(ctx, part, results); err != nil {
			return err
		}
		for n := range results {
			if results[n].Status != core.EventApplied {
				s.ledger.drop(part[n].Lease.ID, core.RequestKey{})
			}
		}
	}
	i := s.phase.Load().island
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
