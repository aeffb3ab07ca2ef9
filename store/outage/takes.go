package outage

import (
	"context"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// errOvertaken is what a take fails with that the primary answered when an outage had begun: it is made again, by another name.
var errOvertaken error = &core.Error{Kind: core.KindStoreUnavailable, Text: "an outage began while the store answered"}

// asking is one take, over all that it is asked of.
type asking struct {
	s     *Store
	given *core.Grant
	tries byte // with the primary
	// phase is the one in which the primary is asked.
	phase *phase
}

// another names the lease of a take otherwise: where the take before is not known to have had no effect, it is taken back by its name.
func another(id core.LeaseID, by byte) core.LeaseID {
	id[0] ^= by
	return id
}

// ofIsland names a take's lease for the island.
const ofIsland = 0x80

// grant makes the take's for the island, or for the primary. The island is asked at once, and its caller still waits: what it
// might spend on the store may have gone on the primary. It gives this replica's own slots where they bind besides the primary.
func (a *asking) grant(asked *core.Grant, i *island) (shares map[string]int) {
	*asked = *a.given
	if i != nil {
		asked.ID, asked.NotAfter = another(a.given.ID, ofIsland), time.Time{}
		return nil
	}
	asked.ID = another(a.given.ID, a.tries)
	a.tries++
	a.phase = a.s.phase.Load()
	return a.phase.shares
}

// granted takes down what the take was answered with, or has it taken back: if an outage has begun since the primary was asked, the
// island has, or had, the slot for others.
func (a *asking) granted(i *island, lease *core.Lease, repeated bool) error {
	s := a.s
	if i == nil {
		s.switching.RLock()
		defer s.switching.RUnlock()
		if now := s.phase.Load(); now != a.phase && (now.island != nil || now.failed != nil || s.crowded(now, lease)) {
			back := core.Settlement{Kind: core.SettleUnused, Lease: lease.ID, Account: lease.Account, GrantedAt: lease.GrantedAt}
			if repeated || a.given.Request != (core.RequestKey{}) {
				back.Kind = core.SettleWithdrawn // it may be in others' hands
			}
			s.pending.add(back, true)
			return errOvertaken
		}
	}
	// Before a recovery can end the island, which it publishes by the ledger.
	s.ledger.note(*lease, a.given.Request, a.given.TTL, s.clock.Now(), i == nil)
	return nil
}

// crowded tells that this replica's own slots of the lease's account are in use without it.
func (s *Store) crowded(p *phase, lease *core.Lease) bool { return s.full(p.shares)(lease.Account) }

// TakeBound takes the account that the response or the session is bound to.
func (s *Store) TakeBound(ctx context.Context, take *core.BoundTake) (out core.BoundTaken, err error) {
	asked, a := *take, asking{s: s, given: &take.Grant}
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		asked.Judge = take.Judge
		if shares := a.grant(&asked.Grant, i); shares != nil {
			asked.Judge = &sparing{judge: take.Judge, full: s.full(shares)}
		}
		out, err = store.TakeBound(ctx, &asked)
		err = late(ctx, &take.Grant, err)
		if err == nil && (out.Status != core.BoundTook || take.AlwaysLoads) {
			s.told(i, take.Ordinals, take.Loads)
		}
		if err == nil && !take.DryRun && (out.Status == core.BoundTook || out.Status == core.BoundRepeated) {
			err = a.granted(i, &out.Lease, out.Status == core.BoundRepeated)
		}
		return err
	})
	if err != nil || take.DryRun {
		return out, err
	}
	if out.Status == core.BoundTook {
		now := s.clock.Now()
		if out.Layer == decide.LayerResponse {
			s.bindings.note(take.Response, out.Lease.Account, take.ResponseTTL, now)
		}
		if out.Lease.Account == out.Session.Account || out.Layer == decide.LayerResponse {
			s.bindings.note(take.Session, out.Lease.Account, take.SessionTTL, now)
		}
	}
	return out, nil
}

// TakeFirst takes the first choice that has room.
func (s *Store) TakeFirst(ctx context.Context, take *core.FirstTake) (out core.FirstTaken, err error) {
	asked, a := *take, asking{s: s, given: &take.Grant}
	var places []int
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		asked.Order, places = take.Order, nil
		if shares := a.grant(&asked.Grant, i); shares != nil {
			asked.Order, places = s.spare(take.Order, s.full(shares))
		}
		out, err = store.TakeFirst(ctx, &asked)
		err = late(ctx, &take.Grant, err)
		if err == nil && out.Status != core.FirstTook {
			s.told(i, take.Ordinals, take.Loads)
		}
		if err == nil && (out.Status == core.FirstTook || out.Status == core.FirstRepeated) {
			err = a.granted(i, &out.Lease, out.Status == core.FirstRepeated)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if out.Status == core.FirstTook {
		if places != nil {
			out.Index = places[out.Index]
		}
		if !take.Substitute {
			s.bindings.note(take.Session, out.Lease.Account, take.SessionTTL, s.clock.Now())
		}
	}
	return out, nil
}
