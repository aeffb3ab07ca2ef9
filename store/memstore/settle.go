package memstore

import (
	"context"
	"time"

	"usher.internal/core"
)

// aheadMost is how far in the future a grant may seem to lie and still be believed.
const aheadMost = int64(time.Minute)

// Settle applies events in order.
func (s *Store) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	for i := range min(len(events), len(results)) {
		results[i] = s.settle(now, &events[i])
	}
	return nil
}

func (s *Store) settle(now int64, e *core.Settlement) core.Settled {
	s.changes++
	if e.Lease == (core.LeaseID{}) {
		return s.settleRequest(now, e)
	}
	if r := s.leases.byID.find((*[16]byte)(&e.Lease)); r != 0 {
		if !r.marked() {
			return s.settleLive(now, s.leases.at(r), e)
		}
		if m := s.marks.living(r, now); m != nil {
			return s.settleEnded(now, m, e)
		}
	}
	return s.settleGone(now, e)
}

// settleRequest applies an event that names its lease by the request id.
func (s *Store) settleRequest(now int64, e *core.Settlement) core.Settled {
	if e.Request == (core.RequestKey{}) {
		return core.Settled{Status: core.EventUnknown}
	}
	if r := s.leases.byRequest.find((*[16]byte)(&e.Request)); r != 0 {
		if !r.marked() {
			return s.settleLive(now, s.leases.at(r), e)
		}
		if m := s.marks.living(r, now); m != nil {
			return core.Settled{Status: core.EventAlreadyReleased, Account: s.idOf(m.account)}
		}
	}
	if e.Kind != core.SettleUnused {
		return core.Settled{Status: core.EventUnknown}
	}
	s.markRequest(now, e.Request, noAccount)
	return core.Settled{Status: core.EventReleaseRecorded}
}

// once gives the flag of an event that leaves the lease alive; 0 for one that ends it.
func once(kind core.SettleKind) flags {
	switch kind {
	case core.SettleFirstToken:
		return flagFirstToken
	case core.SettleSwitched:
		return flagSwitched
	case core.SettleFinished, core.SettleUnused, core.SettleWithdrawn:
	}
	return 0
}

func (s *Store) settleLive(now int64, l *lease, e *core.Settlement) core.Settled {
	a := l.account
	if flag := once(e.Kind); flag != 0 {
		if l.flags&flag != 0 {
			return core.Settled{Status: core.EventAlreadyApplied, Account: a.id}
		}
		l.flags |= flag
		return s.count(now, e, a, &l.flags, core.EventApplied)
	}
	out := core.Settled{Status: core.EventApplied, Account: a.id}
	switch e.Kind {
	case core.SettleFinished:
		out = s.count(now, e, a, &l.flags, core.EventApplied)
		s.end(now, l, flagSettled, 0)
	case core.SettleUnused:
		s.end(now, l, flagSettled, 0)
	case core.SettleWithdrawn:
		if l.handed--; l.handed <= 0 {
			s.end(now, l, flagWithdrawn, 0)
		}
	case core.SettleFirstToken, core.SettleSwitched:
	}
	return out
}

// settleEnded applies an event to a lease that left a mark.
func (s *Store) settleEnded(now int64, m *mark, e *core.Settlement) core.Settled {
	expired := m.flags&flagExpired != 0
	out := core.Settled{Status: core.EventAlreadyReleased, Account: s.idOf(m.account)}
	if m.flags&flagWithdrawn != 0 {
		return out
	}
	var a *account
	if m.account != noAccount {
		a = s.accounts[m.account]
	}
	if flag := once(e.Kind); flag != 0 {
		out.Status = core.EventAlreadyApplied
		if m.flags&flag != 0 {
			return out
		}
		m.flags |= flag
		if expired {
			return s.count(now, e, a, &m.flags, core.EventExpired)
		}
		return s.count(now, e, a, &m.flags, core.EventApplied)
	}
	if !expired || m.flags&flagSettled != 0 {
		return out
	}
	out.Status = core.EventExpired
	if e.Kind != core.SettleWithdrawn {
		m.flags |= flagSettled
	}
	if e.Kind == core.SettleFinished {
		return s.count(now, e, a, &m.flags, core.EventExpired)
	}
	return out
}

// settleGone applies an event to a lease of which nothing is known. One that is
// too young for its mark to be over must have ended elsewhere: it counts once, like an expired one.
func (s *Store) settleGone(now int64, e *core.Settlement) core.Settled {
	switch {
	case !s.young(now, e.GrantedAt):
		return core.Settled{Status: core.EventUnknown, Account: e.Account}
	case e.Kind == core.SettleWithdrawn:
		return core.Settled{Status: core.EventExpired, Account: e.Account}
	}
	number := int32(noAccount)
	if e.Account != "" {
		number = s.named(e.Account).number
	}
	return s.settleEnded(now, s.markLease(now, e.Lease, number, flagExpired), e)
}

// young tells that a lease granted then would still be known, had it been known here.
func (s *Store) young(now int64, granted time.Time) bool {
	if granted.IsZero() {
		return false
	}
	age := now - s.since(granted)
	return age < s.markTTL && age >= -aheadMost
}

// count lets an event's sample, binding and cooldown count.
func (s *Store) count(now int64, e *core.Settlement, a *account, seen *flags, status core.EventStatus) core.Settled {
	out := core.Settled{Status: status}
	if e.Sample && *seen&flagSampled == 0 {
		*seen |= flagSampled
		out.SampleCounts = true
	}
	if a != nil {
		out.Account = a.id
		if e.Bind != (core.BindingKey{}) && e.BindTTL > 0 {
			bind(&s.bindings, e.Bind, a, now, e.BindTTL)
			out.Bound = true
		}
	}
	if e.Cool.Account != "" {
		s.cool(now, e.Cool)
	}
	return out
}

// idOf gives an account's id by its number; blank for none.
func (s *Store) idOf(number int32) string {
	if number == noAccount {
		return ""
	}
	return s.accounts[number].id
}
