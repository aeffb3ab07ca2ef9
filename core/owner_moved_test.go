package core_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
)

// ears are what replicas of one store have heard of owners.
type ears struct {
	mu    sync.Mutex
	signs map[core.Owner]sign
}

type sign struct {
	began, streamEnds, heardEnds time.Time
	stream, last                 *replica
}

// replica is one of several that share a memory store.
type replica struct {
	core.Store
	ears *ears
}

func (r *replica) Hear(_ context.Context, asked core.Sign) (bool, error) {
	r.ears.mu.Lock()
	defer r.ears.mu.Unlock()
	s, now := r.ears.signs[asked.Owner], core.SystemClock{}.Now()
	if asked.Life == 0 {
		return s.heardEnds.After(now) && s.last != r, nil
	}
	began, ends := now.Add(-asked.Age), now.Add(asked.Life)
	elsewhere := s.began.After(began) && s.streamEnds.After(now) && s.stream != r
	if !elsewhere {
		s.began, s.streamEnds, s.stream = began, ends, r
	}
	s.heardEnds, s.last = ends, r
	r.ears.signs[asked.Owner] = s
	return elsewhere, nil
}

// withReplicas runs a test on two schedulers of one store.
func withReplicas(t *testing.T, test func(one, two *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := memstore.New(memstore.Options{Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		b := &ears{signs: make(map[core.Owner]sign)}
		shares := func(s core.Store) core.Store { return &replica{s, b} }
		test(settle(t, store, plain(1, 0), over(shares)), settle(t, store, plain(1, 0), over(shares)))
	})
}

// TestStreamMovesToAnotherReplica: the one that it leaves ends nothing, though it hears no more; the other looks after all.
func TestStreamMovesToAnotherReplica(t *testing.T) {
	withReplicas(t, func(one, two *house) {
		a := one.attach("moves", "1", false)
		tokens := one.takes(ofOwner("moves", "1"), 3)
		one.beat(a, tokens...)
		later(5 * time.Second)
		a.Detach()
		later(9 * time.Second)
		b := two.attach("moves", "1", false)
		for range 20 {
			tokens = append(tokens, one.take(ofOwner("moves", "1")).Token, two.take(ofOwner("moves", "1")).Token)
			two.beats(b, 3*time.Second, tokens...)
		}
		one.inUse(43)
		two.hearsLost(b, 0)
		b.Detach()
		later(10*time.Second - time.Millisecond)
		one.inUse(43)
		later(time.Millisecond)
		one.inUse(0)
		if n := two.ended("moves", "a", core.LeaseEndOwnerSilent); n != 43 {
			t.Errorf("counted %d", n)
		}
	})
}

// TestStreamMovesThereAndBack: so it is where the stream that it left stands, and where it comes back.
func TestStreamMovesThereAndBack(t *testing.T) {
	withReplicas(t, func(one, two *house) {
		a := one.attach("moves", "1", false)
		tokens := one.takes(ofOwner("moves", "1"), 3)
		one.beat(a, tokens...)
		later(5 * time.Second)
		b := two.attach("moves", "1", false)
		two.beats(b, time.Minute, tokens...)
		two.inUse(3)
		a.Detach()
		b.Detach()
		a = one.attach("moves", "1", false)
		one.beats(a, time.Minute, tokens...)
		one.inUse(3)
		one.hearsLost(a, 0)
		later(17*time.Second - time.Millisecond)
		one.inUse(3)
		later(time.Millisecond)
		one.inUse(0)
	})
}

// TestOlderStreamForgetsNothing: what the heartbeats of the older of two streams leave out lives while the younger one is heard.
func TestOlderStreamForgetsNothing(t *testing.T) {
	withReplicas(t, func(one, two *house) {
		older := one.attach("twice", "1", false)
		one.beat(older)
		later(time.Second)
		younger := two.attach("twice", "1", false)
		token := two.take(ofOwner("twice", "1")).Token
		two.beats(younger, 3*time.Second, token)
		for range 5 {
			one.beat(older)
			one.beat(older)
			two.beats(younger, 3*time.Second, token)
		}
		two.inUse(1)
		one.beats(older, 18*time.Second)
		two.inUse(1)
		one.beat(older)
		one.beat(older)
		two.inUse(0)
		two.hearsLost(younger, 0)
	})
}

// alone is a store that ends leases for its own replica only, as one that is cut off from the others.
type alone struct{ core.Store }

func (s alone) End(ctx context.Context, ids []core.LeaseID, _ core.LeaseEnd) (ended []core.Lease, err error) {
	held, err := s.LeasesOf(ctx, "back")
	return slices.DeleteFunc(held, func(l core.Lease) bool { return !slices.Contains(ids, l.ID) }), err
}

// TestLostForAWhile: an owner that returns is not told of what ended while its replica was cut off, and lives.
func TestLostForAWhile(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("back", "1", false)
		tokens := h.takes(ofOwner("back", "1"), 3)
		h.beat(a, tokens...)
		a.Detach()
		later(10 * time.Second)
		h.release(tokens[2])
		h.hearsLost(h.attach("back", "1", false), core.LeaseEndOwnerSilent, tokens[2])
		h.inUse(2)
	}, over(func(s core.Store) core.Store { return alone{s} }))
}
