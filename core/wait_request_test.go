package core_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/pool"
)

func askedAs(id string) core.Request {
	return core.Request{RequestID: id, Tenant: "acme", Owner: core.Owner{Name: "gateway-1", Incarnation: "1"}, Wait: time.Minute}
}

func (w *waitingRoom) releaseID(id string, want core.EventStatus) {
	w.t.Helper()
	results, err := w.Report(context.Background(), []core.Event{{Kind: core.EventUnused, Request: requestName(askedAs(id)).ref()}})
	if err != nil || results[0].Status != want {
		w.t.Fatalf("released %s with %+v, error %v", id, results, err)
	}
}

func (w *waitingRoom) leases(want int) {
	w.t.Helper()
	if u, err := w.store.Usage(context.Background(), ""); err != nil || u.Leases != want {
		w.t.Errorf("%d leases, want %d, error %v", u.Leases, want, err)
	}
}

// TestOneRequestIDInLineTwice: one slot is taken, and both are answered with it at once.
func TestOneRequestIDInLineTwice(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		token, other := w.take(core.Request{}), w.take(core.Request{})
		out := make(chan waited, 4)
		for _, name := range []string{"first", "second", "third"} {
			w.stand(t.Context(), name, askedAs("r1"), out)
		}
		w.stand(t.Context(), "other", askedAs("r2"), out)
		pass(time.Second)
		w.release(token)
		got := map[string]*core.Answer{}
		for range 3 {
			answer := (<-out).answer
			if answer == nil || answer.Selection == nil {
				t.Fatalf("answered %+v", answer)
			}
			got[answer.Selection.Token] = answer
			if line := answer.Selection.Line; line.Time != time.Second || line.Woken != core.WokenByRelease {
				t.Errorf("stood in line as %+v", line)
			}
			if d := answer.Decision; d.CandidateCount != 2 {
				t.Errorf("the decision is %+v", d)
			}
		}
		if len(got) != 1 {
			t.Fatalf("%d leases for one request id", len(got))
		}
		w.leases(2)
		w.release(other)
		if last := <-out; last.name != "other" || last.answer.Selection == nil {
			t.Errorf("%s got %+v", last.name, last.answer)
		}
	})
}

// TestOneRequestIDInLineOneLeaves: who leaves takes nothing from who stays, and a lease lives while one of two has it.
func TestOneRequestIDInLineOneLeaves(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		token := w.take(core.Request{})
		ctx, cancel := context.WithCancel(t.Context())
		out := make(chan waited, 3)
		w.stand(ctx, "gone", askedAs("r1"), out)
		w.stand(t.Context(), "stays", askedAs("r1"), out)
		cancel()
		if got := <-out; got.name != "gone" || got.err == nil {
			t.Fatalf("%s got %+v", got.name, got.answer)
		}
		w.release(token)
		if got := <-out; got.answer == nil || got.answer.Selection == nil {
			t.Fatalf("%s got %+v, error %v", got.name, got.answer, got.err)
		}
		w.leases(1)
	})
}

// TestRequestIDTakenPastTheLine: another request of the same id finds room elsewhere; who waits under the id is answered with that lease.
func TestRequestIDTakenPastTheLine(t *testing.T) {
	accounts := append(oneSlot("a"), pool.Account{ID: "b", MaxConcurrency: 1, Groups: []string{"other"}})
	inBubble(t, accounts, func(w *waitingRoom) {
		t := w.t
		in := func(group string) core.Request {
			req := askedAs("r1")
			req.Group = group
			return req
		}
		held := w.take(core.Request{Group: "g"})
		out := make(chan waited, 1)
		w.stand(t.Context(), "", in("g"), out)
		token := w.take(in("other"))
		synctest.Wait()
		if got := <-out; got.answer == nil || got.answer.Selection == nil || got.answer.Selection.Token != token {
			t.Fatalf("got %+v, error %v", got.answer, got.err)
		}
		w.leases(2)
		w.release(held)
	})
}

// TestReleaseEndsTheWait: by an id that is only waited under yet, at once and for all who wait under it.
func TestReleaseEndsTheWait(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		token := w.take(core.Request{})
		out := make(chan waited, 3)
		w.stand(t.Context(), "", askedAs("r1"), out)
		w.stand(t.Context(), "", askedAs("r1"), out)
		w.stand(t.Context(), "stays", askedAs("r2"), out)
		w.releaseID("r1", core.EventReleaseRecorded)
		for range 2 {
			got := <-out
			isKind(t, got.err, core.KindRequestReleased)
		}
		w.release(token)
		if got := <-out; got.name != "stays" || got.answer.Selection == nil {
			t.Errorf("%s got %+v", got.name, got.answer)
		}
		w.leases(1)
		_, err := w.Select(t.Context(), &core.Request{RequestID: "r1", Tenant: "acme", Owner: core.Owner{Name: "gateway-1"}})
		isKind(t, err, core.KindRequestReleased)
	})
}
