package core_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// limited reports a limit of an account, on the model of the lease or on the account as a whole.
func (w *waitingRoom) limited(token string, scope core.LimitScope, d time.Duration) {
	w.t.Helper()
	_, err := w.Report(context.Background(), []core.Event{{
		Kind: core.EventFinished, Token: token, Outcome: core.OutcomeRateLimited, RetryAfter: d, Scope: scope,
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestWokenByWhatEnds: each is found when it ends, not at the next slow look, and told as what it is.
func TestWokenByWhatEnds(t *testing.T) {
	const at = 10*time.Second + 7*time.Millisecond // not a multiple of any look
	deadline := func(set func(*pool.Account, time.Time)) func(*waitingRoom) {
		return func(w *waitingRoom) {
			accounts := oneSlot("a")
			set(&accounts[0], time.Now().Add(at))
			w.apply(accounts...)
		}
	}
	tests := map[string]struct {
		setUp func(w *waitingRoom)
		woken core.WakeReason
	}{
		"lease":                         {func(w *waitingRoom) { w.take(core.Request{LeaseTTL: at}) }, core.WokenByExpiry},
		"limit of the account":          {func(w *waitingRoom) { w.limited(w.take(core.Request{Model: "m"}), core.ScopeAccount, at) }, core.WokenByCooldownEnd},
		"limit of a model":              {func(w *waitingRoom) { w.limited(w.take(core.Request{Model: "m"}), core.ScopeModel, at) }, core.WokenByCooldownEnd},
		"rate limit from outside":       {deadline(func(a *pool.Account, end time.Time) { a.RateLimitedUntil = end }), core.WokenByCooldownEnd},
		"overload from outside":         {deadline(func(a *pool.Account, end time.Time) { a.OverloadedUntil = end }), core.WokenByCooldownEnd},
		"unschedulable for a time":      {deadline(func(a *pool.Account, end time.Time) { a.TempUnschedulableUntil = end }), core.WokenByCooldownEnd},
		"limit of a model from outside": {deadline(func(a *pool.Account, end time.Time) { a.ModelLimits = map[string]time.Time{"m": end} }), core.WokenByCooldownEnd},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, oneSlot("a"), func(w *waitingRoom) {
				t := w.t
				tt.setUp(w)
				answer, err := w.Select(t.Context(), &core.Request{Model: "m", Wait: 25 * time.Second})
				if err != nil || answer.Selection == nil {
					t.Fatalf("got %+v, error %v", answer, err)
				}
				if line := answer.Selection.Line; line.Time != at || line.Woken != tt.woken {
					t.Errorf("stood in line as %+v, want %v, woken by %v", line, at, tt.woken)
				}
			})
		})
	}
}

// TestWokenByAShorterLife: what ends sooner than was known when the waiter joined.
func TestWokenByAShorterLife(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		token := w.take(core.Request{LeaseTTL: time.Minute})
		w.take(core.Request{LeaseTTL: time.Minute})
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Wait: time.Minute}, out)
		pass(time.Second)
		if _, err := w.Renew(t.Context(), []string{token}, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		if line := (<-out).answer.Selection.Line; line.Time != 3*time.Second || line.Woken != core.WokenByExpiry {
			t.Errorf("stood in line as %+v", line)
		}
	})
}

// TestWokenByTheEndOfAnOwner: whatever ends its leases hands the slots on in the same step, so that no newcomer comes between.
func TestWokenByTheEndOfAnOwner(t *testing.T) {
	tests := map[string]func(t *testing.T, w *waitingRoom, gateway *core.Attachment){
		"silence": func(_ *testing.T, _ *waitingRoom, gateway *core.Attachment) {
			gateway.Detach()
			pass(core.DefaultOwnerGrace)
		},
		"forgotten": func(t *testing.T, _ *waitingRoom, gateway *core.Attachment) {
			for range 2 {
				if err := gateway.Heartbeat(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
		},
		"replaced": func(t *testing.T, w *waitingRoom, _ *core.Attachment) {
			if _, err := w.Attach(t.Context(), core.Owner{Name: "gw", Incarnation: "2"}, true); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, oneSlot("a"), func(w *waitingRoom) {
				t := w.t
				gateway, err := w.Attach(t.Context(), core.Owner{Name: "gw", Incarnation: "1"}, false)
				if err != nil {
					t.Fatal(err)
				}
				w.take(core.Request{Owner: core.Owner{Name: "gw", Incarnation: "1"}})
				out := make(chan waited, 1)
				w.stand(t.Context(), "", core.Request{Wait: time.Minute}, out)
				end(t, w, gateway)
				if name == "silence" {
					synctest.Wait()
				}
				if answer, err := w.Select(t.Context(), &core.Request{}); err != nil || answer.WaitPlan == nil {
					t.Errorf("a newcomer got %+v, error %v", answer, err)
				}
				if got := <-out; got.answer.Selection == nil || got.answer.Selection.Line.Woken != core.WokenByExpiry {
					t.Errorf("got %+v, error %v", got.answer, got.err)
				}
			})
		})
	}
}

// TestNewcomerFindsTheEndFirst: at the instant of an end, whoever looks first serves those who wait before itself.
func TestNewcomerFindsTheEndFirst(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		const at = 5 * time.Second
		w.limited(w.take(core.Request{}), core.ScopeAccount, at)
		w.take(core.Request{LeaseTTL: at})
		out := make(chan waited, 2)
		w.stand(t.Context(), "", core.Request{Wait: time.Minute}, out)
		w.stand(t.Context(), "", core.Request{Wait: time.Minute}, out)
		pass(at)
		// Nothing else has run at this instant, or all of it: no newcomer may be served either way.
		for range 3 {
			if answer, err := w.Select(t.Context(), &core.Request{}); err != nil || answer.Selection != nil {
				t.Errorf("a newcomer got %+v, error %v", answer, err)
			}
		}
		for range 2 {
			if got := <-out; got.answer.Selection == nil || got.answer.Selection.Line.Time != at {
				t.Errorf("got %+v, error %v", got.answer, got.err)
			}
		}
	})
}

// TestBoundWaiterIsLetGo at once when its account may not serve it any more.
func TestBoundWaiterIsLetGo(t *testing.T) {
	tests := map[string]func(w *waitingRoom, home string, token string){
		"its account is limited": func(w *waitingRoom, _, token string) { w.limited(token, core.ScopeAccount, time.Hour) },
		"its model is limited":   func(w *waitingRoom, _, token string) { w.limited(token, core.ScopeModel, time.Hour) },
		"its account expires":    func(*waitingRoom, string, string) { pass(10*time.Second + 7*time.Millisecond) },
	}
	for name, event := range tests {
		t.Run(name, func(t *testing.T) {
			accounts := oneSlot("a", "b")
			inBubble(t, nil, func(w *waitingRoom) {
				t := w.t
				for i := range accounts {
					accounts[i].MaxConcurrency = 2
				}
				w.apply(accounts...)
				answer, err := w.Select(t.Context(), &core.Request{SessionHash: "s", Model: "m"})
				if err != nil {
					t.Fatal(err)
				}
				home, token := answer.Selection.Account.ID, answer.Selection.Token
				w.take(core.Request{SessionHash: "s", Model: "m"})
				for i := range accounts {
					if accounts[i].ID == home {
						accounts[i].AutoPauseOnExpired, accounts[i].ExpiresAt = true, time.Now().Add(10*time.Second+7*time.Millisecond)
					}
				}
				w.apply(accounts...)
				out := make(chan waited, 1)
				w.stand(t.Context(), "", core.Request{SessionHash: "s", Model: "m", Wait: time.Minute}, out)
				event(w, home, token)
				synctest.Wait()
				select {
				case got := <-out:
					sel := got.answer.Selection
					if sel == nil || sel.Account.ID == home || got.answer.Decision.Layer != decide.LayerLoadBalance {
						t.Errorf("got %+v, error %v", got.answer, got.err)
					}
				default:
					t.Error("it waits on")
				}
			})
		})
	}
}

// slowClock makes the store's ends come later than core's clock says.
type slowClock struct {
	core.Store
	behind time.Duration
	sweeps atomic.Int64
}

// Sweep hears of the time late.
func (s *slowClock) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	s.sweeps.Add(1)
	out, err := s.Store.Sweep(ctx, limit)
	if !out.Next.IsZero() {
		out.Next = out.Next.Add(-s.behind)
	}
	return out, err
}

// TestStoreWithALateClock: an end that does not come when it should is asked for ever more seldom, and found soon after it came.
func TestStoreWithALateClock(t *testing.T) {
	late := &slowClock{behind: 5 * time.Second}
	withOwners(t, plain(1, 1), func(h *house) {
		req := mainRequest
		req.LeaseTTL = 20 * time.Second
		h.take(req)
		later(time.Second) // the sweep that comes by itself says when the next end is, too early
		late.sweeps.Store(0)
		req.Wait = time.Minute
		line := h.take(req).Line
		if line.Woken != core.WokenByExpiry || line.Time < 19*time.Second || line.Time > 19*time.Second+128*time.Millisecond {
			t.Errorf("stood in line as %+v", line)
		}
		if n := late.sweeps.Load(); n > 19+6+5*1000/128+2 {
			t.Errorf("%d sweeps", n)
		}
	}, over(func(s core.Store) core.Store {
		late.Store = s
		return late
	}))
}

// TestCooldownBeyondTheDeadline: who may not wait until an account is back is told so at once.
func TestCooldownBeyondTheDeadline(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		w.limited(w.take(core.Request{}), core.ScopeAccount, 20*time.Second)
		since := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		answer, err := w.Select(ctx, &core.Request{Wait: 25 * time.Second})
		if err != nil || answer.Refusal == nil || answer.Refusal.Reason != core.RefusedNoneEligible {
			t.Fatalf("got %+v, error %v", answer, err)
		}
		if waited := time.Since(since); waited != 0 || answer.Refusal.RetryAfter != 20*time.Second {
			t.Errorf("refused after %v, to come back in %v", waited, answer.Refusal.RetryAfter)
		}
	})
}

// TestFullSaysWhenToAskAgain: what is full for now is worth another try.
func TestFullSaysWhenToAskAgain(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		w.take(core.Request{LeaseTTL: time.Minute})
		answer, err := w.Select(t.Context(), &core.Request{Wait: time.Second})
		if err != nil || answer.Refusal == nil || answer.Refusal.Reason != core.RefusedWaitTimeout {
			t.Fatalf("got %+v, error %v", answer, err)
		}
		if answer.Refusal.RetryAfter != time.Second {
			t.Errorf("to come back in %v", answer.Refusal.RetryAfter)
		}
	})
}
