package core_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

// inTwoRooms runs a test with two replicas on one store, of which no signal tells the other what becomes of a request id.
func inTwoRooms(t *testing.T, accounts []pool.Account, test func(here, there *waitingRoom)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := memstore.New(memstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var rooms [2]*waitingRoom
		for i := range rooms {
			s, err := core.New(t.Context(), core.Options{Store: store, Entropy: rand.Uint64, Shared: true})
			if err != nil {
				t.Fatal(err)
			}
			w := &waitingRoom{Scheduler: s, t: t, store: store, policy: decide.Reference()}
			w.policy.FallbackWait.MaxWaiting = 100
			w.apply(accounts...)
			rooms[i] = w
		}
		test(rooms[0], rooms[1])
		for _, w := range rooms {
			if err := w.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestGrantedElsewhere: who waits under a request id that another replica granted a lease has it too, at the next slow look or when its
// time is over, whichever is sooner.
func TestGrantedElsewhere(t *testing.T) {
	accounts := append(oneSlot("a"), pool.Account{ID: "b", MaxConcurrency: 1, Groups: []string{"other"}})
	inTwoRooms(t, accounts, func(here, there *waitingRoom) {
		t := here.t
		in := func(group string, wait time.Duration) core.Request {
			req := askedAs("r1")
			req.Group, req.Wait = group, wait
			return req
		}
		held := here.take(core.Request{Group: "g"})
		long, short, other := make(chan waited, 1), make(chan waited, 1), make(chan waited, 1)
		there.stand(t.Context(), "", in("g", time.Minute), long)
		there.stand(t.Context(), "", in("g", 100*time.Millisecond), short)
		stays := askedAs("r2")
		stays.Group = "g"
		there.stand(t.Context(), "", stays, other)
		pass(10 * time.Millisecond)
		token := here.take(in("other", 0))
		stillWaits(t, long)
		pass(90 * time.Millisecond)
		for _, out := range []<-chan waited{short, long} { // the last look of the first answers all
			got := ended(t, out)
			if got.Selection == nil || got.Selection.Token != token || got.Selection.Line.Woken != core.WokenByPoll || !got.Decision.Repeated {
				t.Fatalf("answered %s", describe(got))
			}
		}
		there.stand(t.Context(), "", in("g", time.Minute), long)
		if got := ended(t, long); got.Selection == nil || got.Selection.Token != token {
			t.Fatalf("who came after it was answered %s", describe(got))
		}
		here.leases(2)
		stillWaits(t, other)
		here.release(held)
		if got := ended(t, other); got.Selection == nil {
			t.Fatalf("answered %s", describe(got))
		}
	})
}

// TestReleasedElsewhere: likewise, where no signal told.
func TestReleasedElsewhere(t *testing.T) {
	inTwoRooms(t, oneSlot("a"), func(here, there *waitingRoom) {
		t := here.t
		here.take(core.Request{})
		long, short := make(chan waited, 1), make(chan waited, 1)
		there.stand(t.Context(), "", askedAs("r1"), long)
		brief := askedAs("r2")
		brief.Wait = 100 * time.Millisecond
		there.stand(t.Context(), "", brief, short)
		here.releaseID("r1", core.EventReleaseRecorded)
		here.releaseID("r2", core.EventReleaseRecorded)
		pass(100 * time.Millisecond)
		synctest.Wait()
		isKind(t, (<-short).err, core.KindRequestReleased)
		stillWaits(t, long)
		pass(time.Second)
		synctest.Wait()
		isKind(t, (<-long).err, core.KindRequestReleased)
	})
}
