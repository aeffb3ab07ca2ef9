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

// limits reports an end that keeps the account away for a time.
func (w *waitingRoom) limits(token string, d time.Duration) {
	w.t.Helper()
	_, err := w.Report(context.Background(), []core.Event{{
		Kind: core.EventFinished, Token: token, Outcome: core.OutcomeRateLimited, RetryAfter: d, Scope: core.ScopeAccount,
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// ended must be the end of a wait, now.
func ended(t *testing.T, out <-chan waited) *core.Answer {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-out:
		if got.err != nil {
			t.Fatal(got.err)
		}
		return got.answer
	default:
		t.Fatal("it still waits")
		return nil
	}
}

// stillWaits must be the case now.
func stillWaits(t *testing.T, out <-chan waited) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-out:
		t.Fatalf("it was answered %+v, error %v", got.answer, got.err)
	default:
	}
}

func refusedAs(t *testing.T, a *core.Answer, reason core.RefusalReason) *core.Refusal {
	t.Helper()
	if a.Refusal == nil || a.Refusal.Reason != reason {
		t.Fatalf("answered %s", describe(a))
	}
	return a.Refusal
}

// What a new Select would be refused for, ends a wait: nobody stands in line for what does not come back in time.
func TestNobodyWaitsInVain(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		tokens := w.takeTwo(core.Request{})
		short, long := make(chan waited, 1), make(chan waited, 1)
		w.stand(t.Context(), "", core.Request{Wait: 5 * time.Second}, short)
		w.stand(t.Context(), "", core.Request{Wait: 25 * time.Second}, long)
		pass(time.Second)
		w.limits(tokens["a"], time.Hour)
		stillWaits(t, short)
		w.limits(tokens["b"], 10*time.Second)
		f := refusedAs(t, ended(t, short), core.RefusedNoneEligible)
		if f.RetryAfter != 10*time.Second || f.Place != 1 {
			t.Errorf("refused with %+v", f)
		}
		stillWaits(t, long)
		pass(10 * time.Second)
		got := ended(t, long)
		if got.Selection == nil || got.Selection.Account.ID != "b" || got.Selection.Line.Woken != core.WokenByCooldownEnd {
			t.Fatalf("answered %s", describe(got))
		}
		// Of those who wait on a pool that is taken away, none waits on.
		w.stand(t.Context(), "", core.Request{Wait: time.Minute}, long)
		changed := oneSlot("a", "b")
		changed[0].State, changed[1].State = pool.Disabled, pool.Paused
		w.apply(changed...)
		refusedAs(t, ended(t, long), core.RefusedNoneEligible)
	})
}

// An account that is away for a while is told of, though others are full.
func TestFullSaysWhoComesBack(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.policy.FallbackWait.MaxWaiting = 1
		w.apply(oneSlot("a", "b")...)
		w.take(core.Request{})
		token := w.take(core.Request{})
		out := make(chan waited, 2)
		w.limits(token, time.Minute)
		w.stand(t.Context(), "", core.Request{Wait: 20 * time.Second}, out)
		full, err := w.Select(context.Background(), &core.Request{Wait: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		back := time.Now().Add(time.Minute)
		if f := refusedAs(t, full, core.RefusedQueueFull); !f.NextEligibleAt.Equal(back) || f.RetryAfter >= time.Minute {
			t.Errorf("refused with %+v", f)
		}
		pass(20 * time.Second)
		f := refusedAs(t, ended(t, out), core.RefusedWaitTimeout)
		if !f.NextEligibleAt.Equal(back) || len(f.Exclusions) != 1 || f.Exclusions[0].Reason != decide.RateLimited {
			t.Errorf("refused with %+v", f)
		}
	})
}

// TestOwnerIsWaitedFor: no other account may continue the response, so who asks to wait does, for what comes back in time.
func TestOwnerIsWaitedFor(t *testing.T) {
	inBubble(t, oneSlot("a", "b"), func(w *waitingRoom) {
		t := w.t
		w.policy.ResponseRequireOwner, w.policy.HalfOpen = true, true
		w.apply(oneSlot("a", "b")...)
		token := w.take(core.Request{})
		if _, err := w.Report(context.Background(), []core.Event{{Kind: core.EventFirstToken, Token: token, ResponseID: "r"}}); err != nil {
			t.Fatal(err)
		}
		w.limits(token, 20*time.Second)
		next := core.Request{PreviousResponseID: "r", Wait: 5 * time.Second}
		answer, err := w.Select(context.Background(), &next)
		if err != nil {
			t.Fatal(err)
		}
		refusedAs(t, answer, core.RefusedOwnerUnavailable)
		out := make(chan waited, 1)
		next.Wait = 30 * time.Second
		w.stand(t.Context(), "", next, out)
		pass(20 * time.Second)
		got := ended(t, out)
		if got.Selection == nil || !got.Decision.PreviousHit || got.Selection.Line.Time != 20*time.Second {
			t.Fatalf("answered %s", describe(got))
		}
		probe := got.Selection.Token // it is that
		next.Wait = 0
		if got, err = w.Select(context.Background(), &next); err != nil || got.WaitPlan == nil || !got.WaitPlan.Probing || !got.Decision.PreviousHit {
			t.Fatalf("answered %s, error %v", describe(got), err)
		}
		next.Wait = time.Minute
		w.stand(t.Context(), "", next, out)
		pass(time.Second)
		w.release(probe)
		if got = ended(t, out); got.Selection == nil || got.Selection.Line.Time != time.Second {
			t.Fatalf("answered %s", describe(got))
		}
		// The probe fails, for longer than the next one waits.
		w.stand(t.Context(), "", next, out)
		w.limits(got.Selection.Token, time.Hour)
		refusedAs(t, ended(t, out), core.RefusedOwnerUnavailable)
	})
}

// TestEstimateIsOfItsKind: the estimate goes by how fast waiters of the same kind are served, and by how long they stand.
func TestEstimateIsOfItsKind(t *testing.T) {
	accounts := oneSlot("fast", "slow")
	accounts[0].Groups, accounts[1].Groups = []string{"fast"}, []string{"slow"}
	inBubble(t, accounts, func(w *waitingRoom) {
		t := w.t
		w.policy.FallbackWait.MaxWaiting = 2
		w.apply(accounts...)
		out := map[string]chan waited{"fast": make(chan waited, 9), "slow": make(chan waited, 9)}
		tokens := map[string]string{}
		for group := range out {
			tokens[group] = w.take(core.Request{Group: group})
			w.stand(t.Context(), "", core.Request{Group: group, Wait: 25 * time.Second}, out[group])
		}
		estimate := func(group string) time.Duration {
			t.Helper()
			answer, err := w.Select(context.Background(), &core.Request{Group: group, Wait: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			return refusedAs(t, answer, core.RefusedQueueFull).EstimatedWait
		}
		for range 20 {
			w.stand(t.Context(), "", core.Request{Group: "fast", Wait: 25 * time.Second}, out["fast"])
			pass(time.Second)
			w.release(tokens["fast"])
			tokens["fast"] = ended(t, out["fast"]).Selection.Token
		}
		w.stand(t.Context(), "", core.Request{Group: "fast", Wait: 25 * time.Second}, out["fast"])
		w.stand(t.Context(), "", core.Request{Group: "slow", Wait: 2 * time.Second}, out["slow"])
		if got := estimate("fast"); got != 2*time.Second {
			t.Errorf("two places at one a second are %v", got)
		}
		if got := estimate("slow"); got != 40*time.Second {
			t.Errorf("two places where nothing moved for 20 s are %v", got)
		}
		pass(4 * time.Second)
		if got := estimate("fast"); got != 8*time.Second {
			t.Errorf("two places where nothing moved for 4 s are %v", got)
		}
		w.release(tokens["fast"])
		ended(t, out["fast"])
		pass(time.Minute)
		for range 2 {
			ended(t, out["slow"])
		}
		ended(t, out["fast"])
		// What nobody waits for does not age.
		w.stand(t.Context(), "", core.Request{Group: "fast", Wait: 2 * time.Second}, out["fast"])
		w.stand(t.Context(), "", core.Request{Group: "fast", Wait: 2 * time.Second}, out["fast"])
		if got := estimate("fast"); got <= 0 || got > 8*time.Second {
			t.Errorf("after a pause two places are %v", got)
		}
		pass(2 * time.Second)
		for range 2 {
			ended(t, out["fast"])
		}
	})
}
