package core_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

// waitingRoom is the scheduler under a bubble's time, with Selects that wait.
type waitingRoom struct {
	*core.Scheduler
	t      *testing.T
	store  *memstore.Store
	policy decide.Policy
}

// inBubble runs a test in a bubble, with accounts of one slot each, all taken when full is set.
func inBubble(t *testing.T, accounts []pool.Account, test func(w *waitingRoom)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := memstore.New(memstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := core.New(t.Context(), core.Options{Store: store, Entropy: rand.Uint64})
		if err != nil {
			t.Fatal(err)
		}
		w := &waitingRoom{Scheduler: s, t: t, store: store, policy: decide.Reference()}
		w.policy.FallbackWait.MaxWaiting, w.policy.StickyWait.MaxWaiting = 1_000_000, 1_000_000
		w.apply(accounts...)
		test(w)
		if u, err := store.Usage(context.Background(), ""); err != nil || u.Waiting != 0 {
			t.Errorf("%d still count as waiting, error %v", u.Waiting, err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (w *waitingRoom) apply(accounts ...pool.Account) {
	w.t.Helper()
	if err := w.Apply(context.Background(), accounts, w.policy); err != nil {
		w.t.Fatal(err)
	}
}

// take must select at once, and gives the token.
func (w *waitingRoom) take(req core.Request) string {
	w.t.Helper()
	answer, err := w.Select(context.Background(), &req)
	if err != nil || answer.Selection == nil {
		w.t.Fatalf("selected %+v, error %v", answer, err)
	}
	return answer.Selection.Token
}

// takeTwo takes two slots, and gives the tokens by account.
func (w *waitingRoom) takeTwo(req core.Request) map[string]string {
	w.t.Helper()
	tokens := map[string]string{}
	for range 2 {
		answer, err := w.Select(context.Background(), &req)
		if err != nil || answer.Selection == nil {
			w.t.Fatalf("selected %+v, error %v", answer, err)
		}
		tokens[answer.Selection.Account.ID] = answer.Selection.Token
	}
	return tokens
}

func (w *waitingRoom) release(token string) {
	w.t.Helper()
	results, err := w.Report(context.Background(), []core.Event{{Kind: core.EventUnused, Token: token}})
	if err != nil || results[0].Status != core.EventApplied {
		w.t.Fatalf("released with %+v, error %v", results, err)
	}
}

// pass moves the bubble's time.
func pass(d time.Duration) { <-time.After(d) }

type waited struct {
	name   string
	answer *core.Answer
	err    error
}

// stand starts a Select that waits, and returns when it stands in line.
func (w *waitingRoom) stand(ctx context.Context, name string, req core.Request, out chan<- waited) {
	go func() {
		answer, err := w.Select(ctx, &req)
		out <- waited{name, answer, err}
	}()
	synctest.Wait()
}

func oneSlot(ids ...string) []pool.Account {
	var out []pool.Account
	for _, id := range ids {
		out = append(out, pool.Account{ID: id, MaxConcurrency: 1, Groups: []string{"g"}})
	}
	return out
}

func TestWaiterIsServedByWhicheverAccountFrees(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		tokens := w.takeTwo(core.Request{})
		for _, id := range []string{"b", "a"} {
			out := make(chan waited, 1)
			w.stand(t.Context(), "", core.Request{Wait: time.Minute}, out)
			pass(3 * time.Second)
			w.release(tokens[id])
			got := <-out
			sel := got.answer.Selection
			if sel == nil || sel.Account.ID != id {
				t.Fatalf("%s was freed; got %+v, error %v", id, got.answer, got.err)
			}
			if sel.Line.JoinedAt != 1 || sel.Line.Time != 3*time.Second || sel.Line.Woken != core.WokenByRelease {
				t.Errorf("stood in line as %+v", sel.Line)
			}
			if got.answer.Decision.Latency >= time.Second {
				t.Errorf("latency %v counts the time in line", got.answer.Decision.Latency)
			}
			tokens[id] = sel.Token
		}
	})
}

func TestWaitIsBounded(t *testing.T) {
	tests := map[string]struct {
		wait, deadline time.Duration
		least, most    time.Duration
	}{
		"by the plan":         {wait: time.Hour, least: 30 * time.Second, most: 30 * time.Second},
		"by the caller":       {wait: 7 * time.Second, least: 7 * time.Second, most: 7 * time.Second},
		"by the rpc deadline": {wait: 30 * time.Second, deadline: 20 * time.Second, least: 19 * time.Second, most: 20*time.Second - time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, oneSlot("a"), func(w *waitingRoom) {
				t := w.t
				w.take(core.Request{})
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				began := time.Now()
				answer, err := w.Select(ctx, &core.Request{Wait: tt.wait})
				if err != nil || answer.Refusal == nil || answer.Refusal.Reason != core.RefusedWaitTimeout || answer.Refusal.Place != 1 {
					t.Fatalf("got %+v, error %v", answer, err)
				}
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("waited %v, want %v to %v", took, tt.least, tt.most)
				}
			})
		})
	}
}

func TestCancelledWaitersLeaveNoTrace(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		token := w.take(core.Request{})
		ctx, cancel := context.WithCancel(t.Context())
		out := make(chan waited, 100)
		for range 100 {
			w.stand(ctx, "", core.Request{Wait: time.Minute}, out)
		}
		cancel()
		for range 100 {
			if got := <-out; !errors.Is(got.err, context.Canceled) {
				t.Fatalf("got %+v, error %v", got.answer, got.err)
			}
		}
		w.release(token)
		if u, err := w.store.Usage(context.Background(), ""); err != nil || u.Leases != 0 || u.Waiting != 0 {
			t.Errorf("left %+v, error %v", u, err)
		}
	})
}

func TestOneTenantsCrowdDoesNotStarveAnother(t *testing.T) {
	models := func(m ...string) pool.Models {
		mapping := map[string]string{}
		for _, name := range m {
			mapping[name] = name
		}
		return pool.NewModels(mapping)
	}
	overlapping := oneSlot("a")
	overlapping[0].Models = models("x", "y")
	tests := map[string]struct{ modelA, modelB string }{
		"the same model":     {"x", "x"},
		"overlapping models": {"x", "y"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, overlapping, func(w *waitingRoom) {
				t := w.t
				token := w.take(core.Request{Model: "x"})
				out := make(chan waited, 1001)
				for range 1000 {
					w.stand(t.Context(), "A", core.Request{Tenant: "A", Model: tt.modelA, Wait: time.Hour}, out)
				}
				w.stand(t.Context(), "B", core.Request{Tenant: "B", Model: tt.modelB, Wait: time.Hour}, out)
				var order []string
				for range 1001 {
					w.release(token)
					got := <-out
					if got.err != nil || got.answer.Selection == nil {
						t.Fatalf("%s got %+v, error %v", got.name, got.answer, got.err)
					}
					order = append(order, got.name)
					token = got.answer.Selection.Token
				}
				if order[0] != "B" && order[1] != "B" {
					t.Errorf("B was not among the first two grants: %v", order[:5])
				}
			})
		})
	}
}

func TestNewcomerDoesNotPass(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		token := w.take(core.Request{})
		out := make(chan waited, 1)
		w.stand(t.Context(), "first", core.Request{Wait: time.Minute}, out)
		w.release(token)
		answer, err := w.Select(context.Background(), &core.Request{})
		if err != nil || answer.WaitPlan == nil {
			t.Errorf("the newcomer got %+v, error %v", answer, err)
		}
		if got := <-out; got.err != nil || got.answer.Selection == nil {
			t.Errorf("the first in line got %+v, error %v", got.answer, got.err)
		}
	})
}

func TestWaitsForACooldownThatEndsInTime(t *testing.T) {
	inBubble(t, nil, func(w *waitingRoom) {
		t := w.t
		accounts := oneSlot("a", "b")
		accounts[0].RateLimitedUntil = time.Now().Add(10 * time.Second)
		accounts[1].OverloadedUntil = time.Now().Add(50 * time.Second)
		w.apply(accounts...)
		answer, err := w.Select(t.Context(), &core.Request{Wait: 5 * time.Second})
		if err != nil || answer.Refusal == nil || answer.Refusal.Reason != core.RefusedNoneEligible {
			t.Fatalf("a wait that ends before: %+v, error %v", answer, err)
		}
		if answer.Refusal.RetryAfter != 10*time.Second {
			t.Errorf("retry after %v, want the earliest", answer.Refusal.RetryAfter)
		}
		began := time.Now()
		answer, err = w.Select(t.Context(), &core.Request{Wait: 20 * time.Second})
		if err != nil || answer.Selection == nil || answer.Selection.Account.ID != "a" {
			t.Fatalf("a wait that reaches past it: %+v, error %v", answer, err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 10*time.Second+100*time.Millisecond {
			t.Errorf("served after %v", took)
		}
	})
}

func TestWhatElseWakes(t *testing.T) {
	tests := map[string]func(w *waitingRoom){
		"a lease that ends by itself": func(*waitingRoom) { pass(15 * time.Second) },
		"an account that is added":    func(w *waitingRoom) { w.apply(oneSlot("a", "b")...) },
		"a limit that is raised": func(w *waitingRoom) {
			accounts := oneSlot("a")
			accounts[0].MaxConcurrency = 2
			w.apply(accounts...)
		},
	}
	for name, event := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, oneSlot("a"), func(w *waitingRoom) {
				t := w.t
				w.take(core.Request{LeaseTTL: 10 * time.Second})
				out := make(chan waited, 1)
				w.stand(t.Context(), "", core.Request{Wait: 25 * time.Second}, out)
				event(w)
				if got := <-out; got.err != nil || got.answer.Selection == nil {
					t.Fatalf("got %+v, error %v", got.answer, got.err)
				}
			})
		})
	}
}

func TestFullLineRefuses(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		w.policy.FallbackWait.MaxWaiting = 2
		w.policy.Tenants.ByName = map[string]decide.TenantLimit{"small": {MaxWaiting: 1}}
		w.apply(oneSlot("a")...)
		token := w.take(core.Request{})
		out := make(chan waited, 4)
		w.stand(t.Context(), "", core.Request{Wait: time.Minute, Tenant: "small"}, out)
		for _, tt := range []struct {
			tenant string
			reason core.RefusalReason
			limit  int
		}{{"small", core.RefusedTenantLimit, 1}, {"other", 0, 0}, {"third", core.RefusedQueueFull, 2}} {
			if tt.reason == 0 {
				w.stand(t.Context(), "", core.Request{Wait: time.Minute, Tenant: tt.tenant}, out)
				continue
			}
			answer, err := w.Select(t.Context(), &core.Request{Wait: time.Minute, Tenant: tt.tenant})
			if err != nil || answer.Refusal == nil || answer.Refusal.Reason != tt.reason || answer.Refusal.Limit != tt.limit {
				t.Fatalf("%s got %+v, error %v", tt.tenant, answer, err)
			}
		}
		for range 2 {
			w.release(token)
			token = (<-out).answer.Selection.Token
		}
	})
}

func TestTenantHoldsNoMoreThanItMay(t *testing.T) {
	accounts := oneSlot("a")
	accounts[0].MaxConcurrency = 3
	inBubble(t, accounts, func(w *waitingRoom) {
		t := w.t
		w.policy.Tenants.Default.MaxLeases = 2
		w.apply(accounts...)
		w.take(core.Request{Tenant: "t"})
		w.take(core.Request{Tenant: "t"})
		answer, err := w.Select(t.Context(), &core.Request{Tenant: "t"})
		if err != nil || answer.Refusal == nil || answer.Refusal.Reason != core.RefusedTenantLimit {
			t.Fatalf("got %+v, error %v", answer, err)
		}
		w.take(core.Request{Tenant: "u"})
	})
}

func TestStickyWaitIsForTheBoundAccountAlone(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		bound := w.take(core.Request{SessionHash: "s"})
		other := w.take(core.Request{})
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{SessionHash: "s", Wait: time.Minute}, out)
		w.release(other)
		select {
		case got := <-out:
			t.Fatalf("served elsewhere: %+v", got.answer)
		default:
		}
		w.release(bound)
		if got := <-out; got.answer.Selection == nil || !got.answer.Decision.SessionHit {
			t.Errorf("got %+v, error %v", got.answer, got.err)
		}
	})
}

func TestEndOfWaits(t *testing.T) {
	inBubble(t, oneSlot("a"), func(w *waitingRoom) {
		t := w.t
		w.take(core.Request{})
		out := make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Wait: time.Minute}, out)
		w.EndWaits()
		if got := <-out; core.KindOf(got.err) != core.KindClosed {
			t.Errorf("got %+v, error %v", got.answer, got.err)
		}
		if _, err := w.Select(t.Context(), &core.Request{Wait: time.Minute}); core.KindOf(err) != core.KindClosed {
			t.Errorf("joined after the end: %v", err)
		}
	})
}
