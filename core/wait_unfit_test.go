package core_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// The cooldown that comes with a slot stands before the slot is handed on.
func TestWaiterIsNotHandedWhatTheReportLimits(t *testing.T) {
	for _, scope := range []core.LimitScope{core.ScopeAccount, core.ScopeModel} {
		inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
			t := w.t
			held := w.takeTwo(core.Request{Model: "m"})
			out := make(chan waited, 1)
			w.stand(t.Context(), "", core.Request{Model: "m", Wait: time.Minute}, out)
			_, err := w.Report(context.Background(), []core.Event{{
				Kind: core.EventFinished, Token: held["a"], Outcome: core.OutcomeRateLimited, RetryAfter: time.Hour, Scope: scope,
			}})
			if err != nil {
				t.Fatal(err)
			}
			pass(5 * time.Second)
			select {
			case got := <-out:
				t.Fatalf("served by %+v, which was limited", got.answer.Selection)
			default:
			}
			w.release(held["b"])
			if got := <-out; got.answer.Selection == nil || got.answer.Selection.Account.ID != "b" {
				t.Errorf("got %+v, error %v", got.answer, got.err)
			}
		})
	}
}

func TestCappedTenantKeepsNobodyWaiting(t *testing.T) {
	accounts := oneSlot("a")
	accounts[0].MaxConcurrency = 2
	inBubble(t, accounts, func(w *waitingRoom) {
		t := w.t
		w.policy.Tenants.ByName = map[string]decide.TenantLimit{"A": {MaxLeases: 1}}
		w.apply(accounts...)
		first, second := w.take(core.Request{Tenant: "C"}), w.take(core.Request{Tenant: "C"})
		ctx, cancel := context.WithCancel(t.Context())
		out := make(chan waited, 101)
		for range 100 {
			w.stand(ctx, "A", core.Request{Tenant: "A", Wait: time.Hour}, out)
		}
		w.release(first)
		if got := <-out; got.name != "A" || got.answer.Selection == nil {
			t.Fatalf("%s got %+v", got.name, got.answer)
		}
		w.stand(ctx, "B", core.Request{Tenant: "B", Wait: time.Hour}, out)
		w.release(second)
		if got := <-out; got.name != "B" || got.answer == nil || got.answer.Selection == nil {
			t.Fatalf("%s got %+v", got.name, got.answer)
		}
		cancel()
		for range 99 {
			<-out
		}
	})
}

func TestWaitersForABoundAccountThatGoesAway(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.take(core.Request{SessionHash: "s"})
		answer, err := w.Select(t.Context(), &core.Request{SessionHash: "s", DryRun: true})
		if err != nil || answer.WaitPlan == nil {
			t.Fatalf("got %+v, error %v", answer, err)
		}
		home := answer.WaitPlan.Account.ID
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{SessionHash: "s", Wait: time.Minute}, out)
		changed := oneSlot("a", "b")
		for i := range changed {
			if changed[i].ID == home {
				changed[i].State = pool.Disabled
			}
		}
		w.apply(changed...)
		synctest.Wait()
		if got := <-out; got.answer.Selection == nil || got.answer.Selection.Account.ID == home {
			t.Errorf("got %+v, error %v", got.answer, got.err)
		}
	})
}
