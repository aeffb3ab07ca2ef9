package core_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

func (w *waitingRoom) capped(tenant string, limit decide.TenantLimit, accounts []pool.Account) {
	w.t.Helper()
	w.policy.Tenants.ByName = map[string]decide.TenantLimit{tenant: limit}
	w.apply(accounts...)
}

func roomy(slots int, ids ...string) []pool.Account {
	accounts := oneSlot(ids...)
	for i := range accounts {
		accounts[i].MaxConcurrency = slots
	}
	return accounts
}

func wantNobody(t *testing.T, out chan waited) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-out:
		t.Fatalf("%s got %+v, error %v", got.name, got.answer, got.err)
	default:
	}
}

// TestCappedTenantWaitsForItsOwnSlots: however one of them ends, and wherever; not for those of others.
func TestCappedTenantWaitsForItsOwnSlots(t *testing.T) {
	const at = 10*time.Second + 7*time.Millisecond
	tests := map[string]struct {
		end   func(w *waitingRoom, token string)
		woken core.WakeReason
	}{
		"released":             {func(w *waitingRoom, token string) { w.release(token) }, core.WokenByRelease},
		"finished and limited": {func(w *waitingRoom, token string) { w.limited(token, core.ScopeAccount, time.Hour) }, core.WokenByRelease},
		"expired":              {func(*waitingRoom, string) { pass(at) }, core.WokenByExpiry},
		"cap raised":           {func(w *waitingRoom, _ string) { w.capped("t", decide.TenantLimit{MaxLeases: 2}, roomy(5, "a", "b")) }, core.WokenByPoolChange},
		"by request": {func(w *waitingRoom, _ string) {
			_, _ = w.Report(context.Background(), []core.Event{{Kind: core.EventUnused, Request: core.RequestRef{Tenant: "t", RequestID: "r"}}})
		}, core.WokenByRelease},
		"ended with its owner": {func(w *waitingRoom, _ string) {
			if _, err := w.Attach(w.t.Context(), core.Owner{Name: "gw", Incarnation: "2"}, true); err != nil {
				w.t.Fatal(err)
			}
		}, core.WokenByExpiry},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(w *waitingRoom) {
				t := w.t
				w.capped("t", decide.TenantLimit{MaxLeases: 1}, roomy(5, "a", "b"))
				req := core.Request{Tenant: "t", LeaseTTL: at}
				switch name {
				case "by request":
					req.RequestID = "r"
				case "ended with its owner":
					req.Owner = core.Owner{Name: "gw", Incarnation: "1"}
				}
				token, other := w.take(req), w.take(core.Request{Tenant: "u"})
				out := make(chan waited, 2)
				for range 2 {
					w.stand(t.Context(), "t", core.Request{Tenant: "t", Wait: time.Minute}, out)
				}
				if u, err := w.store.Usage(t.Context(), "t"); err != nil || u.TenantWaiting != 2 || w.waitingOn("a")+w.waitingOn("b") != 0 {
					t.Errorf("usage %+v, error %v", u, err)
				}
				w.release(other)
				pass(5 * time.Millisecond)
				wantNobody(t, out)
				tt.end(w, token)
				got := <-out
				if got.answer.Selection == nil || got.answer.Selection.Line.Woken != tt.woken {
					t.Fatalf("got %+v, error %v", got.answer, got.err)
				}
				wantNobody(t, out)
				w.release(got.answer.Selection.Token)
				if got := <-out; got.answer.Selection == nil {
					t.Fatalf("the second got %+v, error %v", got.answer, got.err)
				}
			})
		})
	}
}

func (w *waitingRoom) waitingOn(id string) int {
	snap, err := w.Snapshot(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range snap.Accounts {
		if a.Account.ID == id {
			return int(a.Load.Waiting)
		}
	}
	return 0
}

// TestCappedTenantIsRefused at once without a wait, after it with one, and when as many of it wait as may.
func TestCappedTenantIsRefused(t *testing.T) {
	inBubble(t, nil, func(w *waitingRoom) {
		t := w.t
		w.capped("t", decide.TenantLimit{MaxLeases: 1, MaxWaiting: 1}, roomy(5, "a"))
		w.take(core.Request{Tenant: "t"})
		refused := func(req core.Request, limit int, took time.Duration) {
			t.Helper()
			began := time.Now()
			answer, err := w.Select(t.Context(), &req)
			if err != nil || answer.Refusal == nil || answer.Refusal.Reason != core.RefusedTenantLimit || answer.Refusal.Limit != limit {
				t.Fatalf("got %+v, error %v", answer, err)
			}
			if time.Since(began) != took {
				t.Errorf("refused after %v, want %v", time.Since(began), took)
			}
		}
		refused(core.Request{Tenant: "t"}, 1, 0)
		refused(core.Request{Tenant: "t", Group: "g", Model: "none", Provider: "nobody", Wait: time.Minute}, 1, 0)
		refused(core.Request{Tenant: "t", Wait: 7 * time.Second}, 1, 7*time.Second)
		refused(core.Request{Tenant: "t", Wait: time.Hour}, 1, 30*time.Second)
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Tenant: "t", Wait: 5 * time.Second}, out)
		refused(core.Request{Tenant: "t", Wait: time.Minute}, 1, 0)
		<-out
	})
}

// TestCappedTenantsHoldUpNobody: whoever is not at a cap of its own is served past them, in its turn.
func TestCappedTenantsHoldUpNobody(t *testing.T) {
	inBubble(t, nil, func(w *waitingRoom) {
		t := w.t
		w.policy.Tenants.Default.MaxLeases = 1
		w.apply(roomy(20, "a", "b")...)
		out := make(chan waited, 200)
		tokens := map[string]string{}
		for i := range 20 {
			tenant := fmt.Sprint("t", i)
			tokens[tenant] = w.take(core.Request{Tenant: tenant})
			for range 5 {
				w.stand(t.Context(), tenant, core.Request{Tenant: tenant, Wait: time.Hour}, out)
			}
		}
		for i := range 20 {
			if sel, err := w.Select(t.Context(), &core.Request{Tenant: fmt.Sprint("free", i)}); err != nil || sel.Selection == nil {
				t.Fatalf("got %+v, error %v", sel, err)
			}
		}
		w.stand(t.Context(), "late", core.Request{Tenant: "late", Wait: time.Hour}, out)
		wantNobody(t, out)
		// Who gave its own slot back has its turn, though it has waited longer than the late one.
		w.release(tokens["t7"])
		first := <-out
		w.release(first.answer.Selection.Token)
		second := <-out
		if first.name != "t7" || second.name != "late" {
			t.Errorf("served %s, then %s", first.name, second.name)
		}
		w.EndWaits()
		for range 99 {
			<-out
		}
	})
}

// TestCappedTenantThenFull: once its own cap is no more in its way, it waits for what is full as others do, its session's account included.
func TestCappedTenantThenFull(t *testing.T) {
	inBubble(t, nil, func(w *waitingRoom) {
		t := w.t
		w.capped("t", decide.TenantLimit{MaxLeases: 1}, roomy(1, "a", "b"))
		// The session is bound to an account that others fill.
		answer, err := w.Select(t.Context(), &core.Request{Tenant: "t", SessionHash: "s"})
		if err != nil {
			t.Fatal(err)
		}
		home := answer.Selection.Account.ID
		w.release(answer.Selection.Token)
		held := w.takeTwo(core.Request{Tenant: "u"})
		away := "a"
		if home == away {
			away = "b"
		}
		w.release(held[away])
		token := w.take(core.Request{Tenant: "t"})
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Tenant: "t", SessionHash: "s", Wait: time.Minute}, out)
		w.release(token)
		wantNobody(t, out)
		if n := w.waitingOn(home); n != 1 {
			t.Errorf("%d wait on its account", n)
		}
		w.release(held[home])
		if got := <-out; got.answer.Selection == nil || got.answer.Selection.Account.ID != home || !got.answer.Decision.SessionHit {
			t.Errorf("got %+v, error %v", got.answer, got.err)
		}
	})
}

// TestBoundWaiterOfACappedTenantWaitsOn: its account is free, and its tenant may not take it yet.
func TestBoundWaiterOfACappedTenantWaitsOn(t *testing.T) {
	inBubble(t, nil, func(w *waitingRoom) {
		t := w.t
		w.capped("t", decide.TenantLimit{MaxLeases: 2}, roomy(1, "a", "b", "c"))
		bound := w.take(core.Request{Tenant: "t", SessionHash: "s"})
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Tenant: "t", SessionHash: "s", Wait: time.Minute}, out)
		other := w.take(core.Request{Tenant: "t"})
		w.capped("t", decide.TenantLimit{MaxLeases: 1}, roomy(1, "a", "b", "c"))
		w.release(bound)
		wantNobody(t, out)
		w.release(other)
		if got := <-out; got.answer.Selection == nil || !got.answer.Decision.SessionHit {
			t.Errorf("got %+v, error %v", got.answer, got.err)
		}
	})
}
