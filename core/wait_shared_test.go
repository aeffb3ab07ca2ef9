package core_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

// farStore answers those who stand in line when its gate is open.
type farStore struct {
	*memstore.Store
	gate chan struct{}
}

func (s *farStore) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	if take.Grant.InLine {
		<-s.gate
	}
	return s.Store.TakeBound(ctx, take)
}

// farAway tests a scheduler whose store answers those who stand in line when the gate is open.
func farAway(t *testing.T, test func(t *testing.T, w *waitingRoom, gate chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		store, err := memstore.New(memstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		far := &farStore{Store: store, gate: make(chan struct{})}
		s, err := core.New(t.Context(), core.Options{Store: far, Entropy: rand.Uint64, Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		w := &waitingRoom{Scheduler: s, t: t, store: store, policy: decide.Reference()}
		w.policy.FallbackWait.MaxWaiting = 100
		test(t, w, far.gate)
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyWaitsForTheLine: while the store is asked for somebody in line, reports are taken and newcomers are served.
func TestNobodyWaitsForTheLine(t *testing.T) {
	farAway(t, func(t *testing.T, w *waitingRoom, gate chan struct{}) {
		w.apply(oneSlot("a", "b")...)
		onA, onB := core.Request{Excluded: []string{"b"}}, core.Request{Excluded: []string{"a"}}
		held, beside := w.take(onA), w.take(onB)
		waits := onA
		waits.Wait = time.Minute
		out, gone := make(chan waited, 1), make(chan waited, 1)
		w.stand(t.Context(), "stays", waits, out)
		ctx, leave := context.WithCancel(t.Context())
		w.stand(ctx, "leaves", waits, gone)

		began := time.Now()
		w.release(held)
		synctest.Wait() // the store is asked for the first who waits, and does not answer
		w.release(beside)
		beside = w.take(onB)
		w.release(beside)
		if spent := time.Since(began); spent != 0 {
			t.Errorf("that took %v", spent)
		}
		leave()
		close(gate)
		if got := <-out; got.answer == nil || got.answer.Selection == nil {
			t.Errorf("who waited got %+v, error %v", got.answer, got.err)
		}
		if got := <-gone; got.err == nil {
			t.Errorf("who left got %+v", got.answer)
		}
	})
}

// TestAccountLeavesWhileItsWaitersAreServed: the pool may change while the store is asked for somebody in line.
func TestAccountLeavesWhileItsWaitersAreServed(t *testing.T) {
	farAway(t, func(t *testing.T, w *waitingRoom, gate chan struct{}) {
		pool := oneSlot("a", "b")
		pool[1].MaxConcurrency = 2
		w.apply(pool...)
		onB := core.Request{Excluded: []string{"a"}}
		free := []core.Event{{Kind: core.EventUnused, Token: w.take(onB)}, {Kind: core.EventUnused, Token: w.take(onB)}}
		waits := onB
		waits.Wait = time.Minute
		out := make(chan waited, 3)
		for range cap(out) {
			w.stand(t.Context(), "waits", waits, out)
		}
		if _, err := w.Report(t.Context(), free); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the store is asked for the first who waits, and does not answer

		applied := make(chan error, 1)
		go func() { applied <- w.Apply(t.Context(), pool[:1], w.policy) }()
		for known := 2; known > 1; runtime.Gosched() { // it waits for the line then, which is no durable block
			snapshot, err := w.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			known = len(snapshot.Accounts)
		}
		close(gate)
		if err := <-applied; err != nil {
			t.Error(err)
		}
		for range cap(out) {
			if got := <-out; got.err != nil {
				t.Errorf("who waited got error %v", got.err)
			}
		}
	})
}
