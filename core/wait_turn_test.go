package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// served waits for the next answer, which must be a selection, and gives its token.
func served(t *testing.T, out <-chan waited, name, account string) string {
	t.Helper()
	got := <-out
	if got.err != nil || got.answer.Selection == nil || got.name != name || got.answer.Selection.Account.ID != account {
		t.Fatalf("%s got %+v, error %v; want %s by %s", got.name, got.answer, got.err, name, account)
	}
	return got.answer.Selection.Token
}

// Whose session's account goes away stands where it would have stood without it.
func TestWaiterThatIsLetGoKeepsItsTurn(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.take(core.Request{Tenant: "A", SessionHash: "s", Excluded: []string{"b"}})
		b := w.take(core.Request{Tenant: "X"})
		out := make(chan waited, 2)
		w.stand(t.Context(), "A", core.Request{Tenant: "A", SessionHash: "s", Wait: 20 * time.Second}, out)
		w.stand(t.Context(), "B", core.Request{Tenant: "B", Wait: 20 * time.Second}, out)
		paused := oneSlot("a", "b")
		paused[0].State = pool.Paused
		w.apply(paused...)
		w.release(b)
		w.release(served(t, out, "A", "b"))
		served(t, out, "B", "b")
	})
}

// Of tenants that were capped the first in line goes first when the caps are raised.
func TestTenantsThatAreLetInKeepTheirTurns(t *testing.T) {
	accounts := oneSlot("a")
	accounts[0].MaxConcurrency = 2
	inBubble(t, accounts, func(w *waitingRoom) {
		t := w.t
		w.policy.Tenants.Default.MaxLeases = 1
		w.apply(accounts...)
		w.take(core.Request{Tenant: "A"})
		w.take(core.Request{Tenant: "B"})
		out := make(chan waited, 2)
		w.stand(t.Context(), "B", core.Request{Tenant: "B", Wait: 20 * time.Second}, out)
		w.stand(t.Context(), "A", core.Request{Tenant: "A", Wait: 20 * time.Second}, out)
		w.policy.Tenants.Default = decide.TenantLimit{MaxLeases: 2}
		accounts[0].MaxConcurrency = 3
		w.apply(accounts...)
		w.release(served(t, out, "B", "a"))
		served(t, out, "A", "a")
	})
}
