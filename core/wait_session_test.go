package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/pool"
)

// Who waits for its session's account follows the session when another request of it is served elsewhere.
func TestWaiterFollowsItsSession(t *testing.T) {
	accounts := oneSlot("a", "b")
	accounts[1].MaxConcurrency = 2
	inBubble(t, accounts, func(w *waitingRoom) {
		t := w.t
		w.take(core.Request{SessionHash: "s", Excluded: []string{"b"}})
		out := make(chan waited, 2)
		w.stand(t.Context(), "first", core.Request{SessionHash: "s", Wait: time.Minute}, out)
		w.stand(t.Context(), "second", core.Request{SessionHash: "s", Wait: time.Minute}, out)
		moved := w.take(core.Request{SessionHash: "s", Excluded: []string{"a"}})
		served(t, out, "first", "b")
		w.release(moved)
		served(t, out, "second", "b")
	})
}

// A draining account serves the sessions that are bound to it, also those that wait for any.
func TestWaiterOfADrainingAccount(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.policy.SessionSpill = true
		w.apply(oneSlot("a", "b")...)
		a := w.take(core.Request{SessionHash: "s", Excluded: []string{"b"}})
		w.take(core.Request{})
		out := make(chan waited, 2)
		w.stand(t.Context(), "other", core.Request{Wait: 20 * time.Second}, out)
		w.stand(t.Context(), "its own", core.Request{SessionHash: "s", Wait: 20 * time.Second}, out)
		draining := oneSlot("a", "b")
		draining[0].State = pool.Draining
		w.apply(draining...)
		w.release(a)
		served(t, out, "its own", "a")
		if got := <-out; got.answer.Refusal == nil || got.answer.Refusal.Reason != core.RefusedWaitTimeout {
			t.Errorf("%s got %+v, error %v", got.name, got.answer, got.err)
		}
	})
}

// Two that wait under one request id are answered once each when their session's account goes away.
func TestLetGoTogether(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.take(core.Request{SessionHash: "s", Excluded: []string{"b"}})
		out := make(chan waited, 3)
		for range 2 {
			w.stand(t.Context(), "twin", core.Request{SessionHash: "s", RequestID: "r", Wait: time.Minute}, out)
		}
		paused := oneSlot("a", "b")
		paused[0].State = pool.Paused
		w.apply(paused...)
		token := served(t, out, "twin", "b")
		if served(t, out, "twin", "b") != token {
			t.Error("two leases of one request id")
		}
		w.stand(t.Context(), "later", core.Request{Wait: 20 * time.Second}, out)
		w.release(token)
		served(t, out, "later", "b")
	})
}
