package core_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

// slowReader is what a reader was given.
type slowReader struct {
	mu      sync.Mutex
	snaps   []*core.Snapshot
	skipped []uint64
	err     error
}

func (r *slowReader) run(ctx context.Context, sub *core.Subscription) {
	for {
		snap, skipped, err := sub.Next(ctx)
		r.mu.Lock()
		if r.err = err; err == nil {
			r.snaps, r.skipped = append(r.snaps, snap), append(r.skipped, skipped)
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// TestHubDeadReaders: of 100 subscribers 50 never read; the others get every snapshot in time.
func TestHubDeadReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plain(3, 1))
		ctx, cancel := context.WithCancel(t.Context())
		readers := make([]slowReader, 50)
		var dead []*core.Subscription
		for i := range readers {
			sub := h.Subscribe(time.Second)
			go readers[i].run(ctx, sub)
			dead = append(dead, h.Subscribe(time.Second))
		}
		synctest.Wait()
		for range 10 {
			h.clock.advance(time.Second)
			synctest.Wait()
		}
		for i := range readers {
			if n := len(readers[i].snaps); n != 11 {
				t.Fatalf("reader %d has %d snapshots, want the first and 10", i, n)
			}
			for n, skipped := range readers[i].skipped {
				if at := readers[i].snaps[n].At; skipped != 0 || !at.Equal(testStart.Add(time.Duration(n)*time.Second)) {
					t.Fatalf("reader %d: snapshot %d of %v, %d skipped", i, n, at, skipped)
				}
			}
		}
		// One that wakes up after all has the latest, and nothing that piled up.
		snap, skipped, err := dead[0].Next(ctx)
		if err != nil || skipped != 0 || !snap.At.Equal(testStart.Add(10*time.Second)) {
			t.Errorf("snapshot %+v, %d skipped, error %v", snap, skipped, err)
		}
		cancel()
		synctest.Wait()
		for i := range readers {
			if !errors.Is(readers[i].err, context.Canceled) {
				t.Fatalf("reader %d ended by %v", i, readers[i].err)
			}
		}
	})
}

// TestHubSlowReader: it has the latest value and the number of intervals that it missed.
func TestHubSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plain(1, 0))
		sub, eager := h.Subscribe(time.Second), h.Subscribe(100*time.Millisecond)
		defer eager.Close()
		next := func(at time.Duration, want uint64) {
			t.Helper()
			snap, skipped, err := sub.Next(t.Context())
			if err != nil || skipped != want || !snap.At.Equal(testStart.Add(at)) {
				t.Fatalf("snapshot of %v, %d skipped, error %v; want %v and %d", snap.At.Sub(testStart), skipped, err, at, want)
			}
		}
		synctest.Wait()
		next(0, 0)
		for range 75 {
			h.clock.advance(100 * time.Millisecond)
			synctest.Wait()
		}
		next(7500*time.Millisecond, 7) // at 1 to 7; 7.5 rounds up to the eighth
		early := make(chan struct{})
		go func() {
			defer close(early)
			_, _, _ = sub.Next(t.Context())
		}()
		h.clock.advance(500 * time.Millisecond)
		synctest.Wait()
		select {
		case <-early:
			t.Error("a snapshot before the interval was over, for another's eagerness")
		default:
		}
		h.clock.advance(500 * time.Millisecond)
		<-early
	})
}

// TestHubClose: the end of either side ends Next, and stays.
func TestHubClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plain(1, 0))
		waits := func(sub *core.Subscription) *slowReader {
			r := &slowReader{}
			go r.run(t.Context(), sub)
			synctest.Wait()
			return r
		}
		mine, theirs := h.Subscribe(time.Hour), h.Subscribe(time.Hour)
		reader, other := waits(mine), waits(theirs)
		mine.Close()
		mine.Close()
		synctest.Wait()
		isKind(t, reader.err, core.KindClosed)
		if other.err != nil {
			t.Fatalf("the other one ended by %v", other.err)
		}
		for range 2 {
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		isKind(t, other.err, core.KindClosed)
		late := waits(h.Subscribe(time.Second))
		isKind(t, late.err, core.KindClosed)
		theirs.Close()
	})
}

// TestHubRestsWithoutReaders: nobody listens, nothing is published; a store that fails is asked again.
func TestHubRestsWithoutReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, broken := brokenHouse(t, 1, 0)
		sub := h.Subscribe(time.Second)
		synctest.Wait()
		if _, _, err := sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		broken.loads.Store(true)
		h.clock.advance(time.Second)
		synctest.Wait()
		broken.loads.Store(false)
		h.clock.advance(time.Second)
		snap, skipped, err := sub.Next(t.Context())
		if err != nil || skipped != 1 || !snap.At.Equal(testStart.Add(2*time.Second)) {
			t.Errorf("snapshot %+v, %d skipped, error %v", snap, skipped, err)
		}
		sub.Close()
		h.clock.advance(time.Second)
		synctest.Wait()
		h.clock.mu.Lock()
		defer h.clock.mu.Unlock()
		if n := len(h.clock.timers); n != 1 { // the sweep's
			t.Errorf("%d timers", n)
		}
	})
}

// TestSweepCountsExpired: in the background, whoever found them.
func TestSweepCountsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plain(1, 0))
		req := mainRequest
		req.LeaseTTL = time.Minute
		for range 2500 {
			h.take(req)
		}
		released := h.take(req).Token
		h.release(released)
		synctest.Wait() // the sweep has its timer
		h.clock.advance(time.Minute)
		synctest.Wait()
		h.inUse(0)
		if n := h.state().LeasesExpired; n != 2500 {
			t.Errorf("%d expired", n)
		}
	})
}

// TestStartStop: schedulers come and go under load; nothing of them stays, and nobody waits for ever.
func TestStartStop(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for range 40 {
		store, err := memstore.New(memstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := core.New(t.Context(), core.Options{Store: store, Entropy: rand.Uint64, HistoryBytes: 1 << 16, SweepEvery: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), plain(4, 2), decide.Reference()); err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		for i := range 8 {
			users.Go(func() { untilClosed(t, s, i) })
		}
		for range 2 {
			users.Go(func() {
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		users.Wait()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// untilClosed uses a scheduler in one way until it is closed.
func untilClosed(t *testing.T, s *core.Scheduler, way int) {
	sub := s.Subscribe(time.Millisecond)
	defer sub.Close()
	for {
		var err error
		switch way % 4 {
		case 0:
			_, _, err = sub.Next(t.Context())
		case 1: // never reads
			var answer *core.Answer
			if answer, err = s.Select(t.Context(), &mainRequest); err == nil && answer.Selection != nil {
				_, err = s.Report(t.Context(), []core.Event{finished(answer.Selection.Token, core.OutcomeSuccess)})
			}
		case 2:
			other := s.Subscribe(time.Hour)
			_, err = s.Select(t.Context(), &mainRequest)
			other.Close()
		case 3:
			_, err = s.Select(t.Context(), &mainRequest)
			s.Decisions(core.DecisionFilter{})
		}
		if err != nil {
			isKind(t, err, core.KindClosed)
			return
		}
	}
}
