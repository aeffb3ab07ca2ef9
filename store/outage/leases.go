package outage

import (
	"context"
	"time"

	"usher.internal/core"
)

// fence keeps an outage from beginning, until unfence, while an answer of the primary is taken down, and gives the island of one that has begun
// since that was asked: it is told the answer too, since it began with what the ledger had. What island i answered needs none.
func (s *Store) fence(i *island) (begun *island) {
	if i != nil {
		return nil
	}
	s.switching.RLock()
	return s.phase.Load().island
}

func (s *Store) unfence(i *island) {
	if i == nil {
		s.switching.RUnlock()
	}
}

// Settle applies events in order.
func (s *Store) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	return s.on(ctx, func(store core.Store, i *island) error {
		session, seen := s.primary.Sessions(), s.ledger.lastSeen()
		if err := store.Settle(ctx, events, results); err != nil {
			return err
		}
		s.settledOn(i, asked{session, seen}, events, results)
		return nil
	})
}

// asked is the primary's session, and the look that the last view was of, when a store was asked.
type asked struct{ session, seen uint64 }

// settledOn takes down what was settled, on an island before a recovery can end it.
func (s *Store) settledOn(i *island, at asked, events []core.Settlement, results []core.Settled) {
	begun := s.fence(i)
	defer s.unfence(i)
	now := s.clock.Now()
	for n := range min(len(events), len(results)) {
		e := &events[n]
		if results[n].Bound {
			s.bindings.note(e.Bind, results[n].Account, e.BindTTL, now)
		}
		lease, ended := e.Lease, false
		owed := i != nil && (e.Cool.Account != "" || !s.ledger.unmet(e.Lease, e.Request))
		switch e.Kind {
		case core.SettleFinished, core.SettleUnused, core.SettleWithdrawn:
			if ended = e.Kind != core.SettleWithdrawn; ended && results[n].Status == core.EventApplied {
				lease = s.ledger.release(e.Lease, e.Request, at.seen)
			} else {
				lease = s.ledger.drop(e.Lease, e.Request)
			}
		case core.SettleFirstToken, core.SettleSwitched:
		}
		if i != nil {
			s.pending.add(*e, owed)
		} else if ended {
			s.ended(*e, at.session, now)
		}
		if begun != nil {
			begun.settle(*e, lease)
		}
	}
}

// ended remembers the end of a lease that the primary was told in a session. Who answered may have been the one before, of which all was told
// again already.
func (s *Store) ended(e core.Settlement, session uint64, now time.Time) {
	s.ends.add(e, now)
	if s.primary.Sessions() != session {
		s.untold.Store(true)
	}
}

// Renew gives leases a whole new lifetime.
func (s *Store) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	return s.on(ctx, func(store core.Store, i *island) error {
		err := store.Renew(ctx, renewals, results)
		if err == nil {
			s.renewedOn(i, renewals, results)
		}
		return err
	})
}

func (s *Store) renewedOn(i *island, renewals []core.Renewal, results []core.Renewed) {
	begun := s.fence(i)
	defer s.unfence(i)
	now := s.clock.Now()
	for n := range min(len(renewals), len(results)) {
		lives := results[n].Status == core.EventApplied
		if lives {
			s.ledger.extend(renewals[n].Lease, results[n].ExpiresAt, renewals[n].TTL)
			s.ledger.heard(renewals[n].Lease, now, i == nil)
			s.parted.heard(renewals[n].Lease)
		} else {
			s.ledger.drop(renewals[n].Lease, core.RequestKey{})
		}
		switch {
		case begun == nil:
		case lives:
			begun.renew(renewals[n])
		default:
			begun.end(renewals[n].Lease, results[n].End)
		}
	}
}

// Sweep ends what is over.
func (s *Store) Sweep(ctx context.Context, limit int) (out core.Swept, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		out, err = store.Sweep(ctx, limit)
		return err
	})
	for n := range out.Expired {
		s.ledger.drop(out.Expired[n].ID, core.RequestKey{})
	}
	return out, err
}

// LeasesOf lists the leases of an owner: during an outage those that this replica knows of.
func (s *Store) LeasesOf(ctx context.Context, name string) (list []core.Lease, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		list, err = store.LeasesOf(ctx, name)
		return err
	})
	return list, err
}

// Hear takes a sign of life of an owner down: during an outage nobody is known to hear of it but this replica, which knows only of what it looks after itself.
func (s *Store) Hear(ctx context.Context, sign core.Sign) (elsewhere bool, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		elsewhere, err = store.Hear(ctx, sign)
		return err
	})
	return elsewhere, err
}

// End ends leases. Until all have published after an outage an owner that is silent here may be heard elsewhere: its leases are ended then.
func (s *Store) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) (ended []core.Lease, err error) {
	if how == core.LeaseEndOwnerSilent && s.phase.Load().shares != nil {
		for _, id := range ids {
			s.parted.add(id, how)
		}
		return nil, ctx.Err()
	}
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		session := s.primary.Sessions()
		ended, err = store.End(ctx, ids, how)
		if err == nil {
			s.endedOn(i, session, ended, how)
		}
		return err
	})
	return ended, err
}

func (s *Store) endedOn(i *island, session uint64, ended []core.Lease, how core.LeaseEnd) {
	begun := s.fence(i)
	defer s.unfence(i)
	for n := range ended {
		// The primary has no other word for it that comes later.
		l := &ended[n]
		e := core.Settlement{Kind: core.SettleUnused, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}
		s.ledger.drop(l.ID, core.RequestKey{})
		switch {
		case i != nil:
			s.parted.add(l.ID, how)
			continue
		case begun != nil:
			begun.settle(e, l.ID)
		}
		s.ended(e, session, s.clock.Now())
	}
}

// Adopt takes leases up again, and renews those that live.
func (s *Store) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	return s.on(ctx, func(store core.Store, i *island) error {
		err := store.Adopt(ctx, adoptions, results)
		if err == nil {
			s.adoptedOn(i, adoptions, results)
		}
		return err
	})
}

func (s *Store) adoptedOn(i *island, adoptions []core.Adoption, results []core.Adopted) {
	begun := s.fence(i)
	defer s.unfence(i)
	now := s.clock.Now()
	for n := range min(len(adoptions), len(results)) {
		if results[n].Status != core.EventApplied {
			continue
		}
		lease := adoptions[n].Lease
		lease.ExpiresAt = results[n].ExpiresAt
		s.ledger.note(lease, core.RequestKey{}, adoptions[n].TTL, now, i == nil)
		s.parted.heard(lease.ID)
		if begun != nil {
			begun.adopt(adoptions[n])
		}
	}
}
