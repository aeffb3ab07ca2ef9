package redisstore

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// stranger does anything with a namespace through one of two replicas.
type stranger struct {
	*testing.T
	*world
	*rand.Rand
	stores  []*Store
	leases  []core.Lease
	waiters []core.WaiterID
}

// TestAnything does anything at all, and wants the namespace to agree with itself all the while and to be empty at the end.
func TestAnything(t *testing.T) {
	t.Parallel()
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		for seed := range uint64(4) {
			w.options.Namespace = "anything" + strconv.FormatUint(seed, 10)
			s := &stranger{T: t, world: w, Rand: rand.New(rand.NewPCG(seed, 1)), stores: []*Store{w.replica(t), w.replica(t)}}
			client := w.client(t)
			for n := range 300 {
				s.act(s.stores[s.IntN(2)])
				if n%25 == 0 {
					sound(t, client, s.stores[0].prefix[0])
				}
			}
			w.pass(t, 5*time.Minute, s.stores...)
			w.pass(t, worldMarkTTL+time.Minute, s.stores...)
			all := sound(t, client, s.stores[0].prefix[0])
			for _, gone := range []string{"x", "q", "t", "tw", "wr", "w", "T", "c", "e", "at", "dying"} {
				if len(all[gone].content) != 0 {
					t.Errorf("seed %d: %s is %q at the end", seed, gone, all[gone].content)
				}
			}
		}
	})
}

func (s *stranger) act(store *Store) {
	var err error
	ctx := context.Background()
	switch s.IntN(14) {
	case 0, 1, 2:
		err = s.takeFirst(store)
	case 3, 4:
		err = s.takeBound(store)
	case 5, 6, 7:
		e := s.event()
		err = store.Settle(ctx, []core.Settlement{e, s.event()}, make([]core.Settled, 2))
	case 8:
		l := s.lease()
		err = store.Renew(ctx, []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt, TTL: s.while()}}, make([]core.Renewed, 1))
	case 9:
		err = store.Adopt(ctx, []core.Adoption{{Lease: s.lease(), TTL: s.while(), Left: time.Duration(s.IntN(2)) * s.while(), MaxAge: 2 * worldTTL}}, make([]core.Adopted, 1))
	case 10:
		_, err = store.End(ctx, []core.LeaseID{s.lease().ID, s.lease().ID}, core.LeaseEndForgotten)
	case 11:
		err = s.line(store)
	case 12:
		_, err = store.Cool(ctx, core.Cooldown{Account: "b", Model: s.name(), Until: s.clock.Now().Add(s.while()), Reason: decide.Reason(1)})
		if err == nil {
			_, err = store.Sweep(ctx, 1+s.IntN(3))
		}
	default:
		s.advance(s.while() / 20)
		err = store.takeBack(ctx, []lostTake{{id: key(s.lease().ID)}, {id: key(s.id())}})
	}
	must(s.T, err)
}

func (s *stranger) while() time.Duration { return time.Duration(1+s.IntN(60_000)) * time.Millisecond }

// name gives one of few, or none.
func (s *stranger) name() string { return []string{"", "one", "two words"}[s.IntN(3)] }

func (s *stranger) key() [16]byte {
	if s.IntN(2) == 0 {
		return [16]byte{}
	}
	return numbered(100 + s.IntN(8))
}

func (s *stranger) grant() core.Grant {
	return core.Grant{
		ID: s.some(), TTL: s.while(), Tenant: s.name(), Owner: core.Owner{Name: s.name(), Incarnation: s.name()},
		Group: s.name(), Model: s.name(), Request: s.key(), TenantCap: s.IntN(3) * 4,
	}
}

// some gives an id, mostly a new one.
func (s *stranger) some() core.LeaseID {
	if s.IntN(8) == 0 {
		return s.lease().ID
	}
	return s.id()
}

// lease gives one that was granted, or none.
func (s *stranger) lease() core.Lease {
	if len(s.leases) == 0 {
		return core.Lease{ID: s.id(), Account: "a", GrantedAt: s.clock.Now()}
	}
	return s.leases[s.IntN(len(s.leases))]
}

func (s *stranger) granted(l core.Lease) {
	if l.ID != (core.LeaseID{}) {
		s.leases = append(s.leases, l)
	}
}

func (s *stranger) takeFirst(store *Store) error {
	take := &core.FirstTake{Grant: s.grant(), Session: s.key(), SessionTTL: s.while(), Substitute: s.IntN(4) == 0}
	for _, ordinal := range s.Perm(3) {
		take.Order = append(take.Order, core.Choice{Ordinal: int32(ordinal), Probe: s.IntN(4) == 0})
	}
	out, err := store.TakeFirst(context.Background(), take)
	s.granted(out.Lease)
	return err
}

func (s *stranger) takeBound(store *Store) error {
	out, err := store.TakeBound(context.Background(), &core.BoundTake{
		Grant: s.grant(), Session: s.key(), Response: s.key(), SessionTTL: s.while(), ResponseTTL: s.while(), Judge: takeAll{},
		SpillSession: s.IntN(2) == 0, ResponseAlone: s.IntN(2) == 0, DryRun: s.IntN(8) == 0,
	})
	s.granted(out.Lease)
	return err
}

func (s *stranger) event() core.Settlement {
	l := s.lease()
	e := core.Settlement{
		Kind: core.SettleKind(s.IntN(5)), Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt, Sample: s.IntN(2) == 0,
		Bind: s.key(), BindTTL: s.while(),
	}
	if s.IntN(6) == 0 {
		e.Lease, e.Request = core.LeaseID{}, s.key()
	}
	return e
}

func (s *stranger) line(store *Store) error {
	ctx := context.Background()
	if len(s.waiters) > 0 && s.IntN(2) == 0 {
		id := s.waiters[s.IntN(len(s.waiters))]
		if s.IntN(2) == 0 {
			return store.Move(ctx, id, "c")
		}
		return store.Leave(ctx, id)
	}
	account := []string{"", "a", "b"}[s.IntN(3)]
	s.waiters = append(s.waiters, core.WaiterID(s.id()))
	_, err := store.Join(ctx, &core.Waiter{
		ID: s.waiters[len(s.waiters)-1], Account: account, Tenant: s.name(), TTL: s.while(), AccountCap: 4, TenantCap: s.IntN(4),
	})
	return err
}
