package core_test

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// drainingHome binds session s to a, which then drains, and takes b away; a has one slot, which token holds.
func drainingHome(w *waitingRoom) (token string) {
	accounts := oneSlot("a", "b")
	accounts[1].State = pool.Paused
	w.apply(accounts...)
	token = w.take(core.Request{SessionHash: "s"})
	accounts[0].State = pool.Draining
	w.apply(accounts...)
	return token
}

// A draining account goes on with its sessions, so they wait for it though load balancing may send nobody there.
func TestSessionsWaitForADrainingAccount(t *testing.T) {
	for _, spill := range []bool{false, true} {
		inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
			t := w.t
			w.policy.SessionSpill = spill
			token := drainingHome(w)
			req := core.Request{SessionHash: "s"}
			answer, err := w.Select(context.Background(), &req)
			if err != nil || answer.WaitPlan == nil || answer.WaitPlan.Account.ID != "a" {
				t.Fatalf("answered %s, error %v", describe(answer), err)
			}
			req.Wait = 20 * time.Second
			out := make(chan waited, 1)
			w.stand(t.Context(), "", req, out)
			w.apply(*answer.WaitPlan.Account) // b is gone
			stillWaits(t, out)
			pass(time.Second)
			w.limits(token, 5*time.Second)
			stillWaits(t, out)
			if answer, err = w.Select(context.Background(), &core.Request{SessionHash: "s"}); err != nil {
				t.Fatal(err)
			}
			if f := refusedAs(t, answer, core.RefusedNoneEligible); f.RetryAfter != 5*time.Second {
				t.Errorf("refused with %+v", f)
			}
			pass(5 * time.Second)
			if got := ended(t, out); got.Selection == nil || got.Selection.Line.Time != 6*time.Second {
				t.Fatalf("answered %s", describe(got))
			}
		})
	}
}

// A tenant at its cap waits for what comes back in time, and not for what does not.
func TestCappedTenantWaitsForWhatComesBack(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.policy.Tenants.ByName = map[string]decide.TenantLimit{"T": {MaxLeases: 1}}
		w.apply(oneSlot("a", "b")...)
		held, other := w.take(core.Request{Tenant: "T"}), w.take(core.Request{})
		w.limits(other, 5*time.Second)
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Tenant: "T", Wait: 20 * time.Second}, out)
		w.limits(held, 10*time.Second)
		stillWaits(t, out)
		pass(5 * time.Second)
		first := ended(t, out)
		if first.Selection == nil || first.Selection.Line.Time != 5*time.Second {
			t.Fatalf("answered %s", describe(first))
		}
		w.stand(t.Context(), "", core.Request{Tenant: "T", Wait: 20 * time.Second}, out)
		disabled := oneSlot("a", "b")
		disabled[0].State, disabled[1].State = pool.Disabled, pool.Disabled
		w.apply(disabled...)
		refusedAs(t, ended(t, out), core.RefusedNoneEligible)
	})
}

// Who waited for an account that goes away looks for another in the line's order, not in that of their ids.
func TestUnboundInFairnessOrder(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		accounts := oneSlot("a", "b")
		accounts[1].State = pool.Disabled
		w.apply(accounts...)
		w.take(core.Request{SessionHash: "s"})
		out := make(chan waited, 3)
		for _, p := range []core.Priority{core.PriorityLow, core.PriorityNormal, core.PriorityHigh} {
			name := map[core.Priority]string{core.PriorityLow: "low", core.PriorityNormal: "normal", core.PriorityHigh: "high"}[p]
			w.stand(t.Context(), name, core.Request{SessionHash: "s", Priority: p, Wait: 20 * time.Second}, out)
		}
		accounts[0].State, accounts[1].State = pool.Disabled, pool.Active
		w.apply(accounts...)
		for _, want := range []string{"high", "normal", "low"} {
			got := <-out
			if got.name != want || got.answer.Selection == nil {
				t.Fatalf("%s was answered %s, error %v", got.name, describe(got.answer), got.err)
			}
			w.release(got.answer.Selection.Token)
		}
	})
}
