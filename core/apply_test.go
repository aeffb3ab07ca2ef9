package core_test

import (
	"context"
	"math"
	"reflect"
	"sync"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// TestLimitLowered: nothing in use is reset, and nothing is granted until it has drained.
func TestLimitLowered(t *testing.T) {
	h := newHouse(t, plain(1, 5))
	var tokens []string
	for range 5 {
		tokens = append(tokens, h.take(inSession("conv")).Token)
	}
	h.apply(plain(1, 2)...)
	h.inUse(5)
	if l := h.account("a").Load; l.Rate != 250 {
		t.Errorf("load %+v", l)
	}
	for _, token := range tokens[:3] {
		for _, req := range []core.Request{mainRequest, inSession("conv")} {
			if answer := h.ask(req); answer.WaitPlan == nil {
				t.Fatal(describe(answer))
			}
		}
		h.release(token)
	}
	h.inUse(2)
	if answer := h.ask(mainRequest); answer.WaitPlan == nil {
		t.Fatal(describe(answer))
	}
	h.release(tokens[3])
	h.take(mainRequest)
	h.inUse(2)
	h.apply(plain(1, 3)...)
	h.take(mainRequest)
	h.inUse(3)
	h.apply(plain(1, 0)...)
	h.take(mainRequest)
	h.inUse(4)
}

// TestAccountRemovedWhileLeased: its leases live on and are given back; it is chosen no more, and back
// again it has what it had.
func TestAccountRemovedWhileLeased(t *testing.T) {
	both := plain(2, 2)
	h := newHouse(t, both)
	first, second := h.on(named("r1"), "a"), h.on(mainRequest, "a")
	h.reports(finished(h.on(core.Request{}, "b"), core.OutcomeAccountError), core.EventApplied)
	h.apply(both[1])
	for range 2 {
		h.chooses(mainRequest, decide.LayerLoadBalance, "b")
	}
	if answer := h.ask(mainRequest); answer.WaitPlan == nil || answer.Decision.CandidateCount != 1 {
		t.Fatal(describe(answer))
	}
	// The lease is found although its account is gone, and says so.
	if again := h.ask(named("r1")); again.Selection == nil || again.Selection.Token != first || again.Selection.Account.State != pool.Disabled {
		t.Fatal(describe(again))
	}
	if n := h.state().Usage.Leases; n != 4 {
		t.Errorf("%d leases", n)
	}
	h.reports(finished(second, core.OutcomeAccountError), core.EventApplied)
	// In another order, with others beside them: counts and statistics follow the id.
	h.apply(append(ranked(4, 2)[2:], both[1], both[0])...)
	a, b := h.account("a"), h.account("b")
	if a.Load.InUse != 1 || b.Load.InUse != 2 || a.Stat.ErrorRate != 0.2 || b.Stat.ErrorRate != 0.2 {
		t.Errorf("a %+v, b %+v", a, b)
	}
	h.release(first)
	h.on(mainRequest, "a")
	h.on(mainRequest, "a")
	h.inUse(4)
}

// TestApplyAllOrNothing: what is wrong changes nothing, not even in part.
func TestApplyAllOrNothing(t *testing.T) {
	good := plain(2, 1)
	h := newHouse(t, good)
	h.take(inSession("conv"))
	twice, blank := append(plain(3, 9), plain(1, 9)...), plain(3, 9)
	blank[2].ID = " "
	nan, negative := decide.Reference(), decide.Reference()
	nan.Weights.Queue, negative.SessionTTL = math.NaN(), -1
	alpha := decide.Reference()
	alpha.Alpha, alpha.Profile = 0, "other"
	for name, c := range map[string]struct {
		accounts []pool.Account
		policy   decide.Policy
	}{
		"an id twice": {twice, decide.Reference()}, "a blank id": {blank, decide.Reference()},
		"NaN": {plain(3, 9), nan}, "negative": {plain(3, 9), negative}, "alpha": {plain(3, 9), alpha},
	} {
		before := h.state()
		isKind(t, h.Apply(context.Background(), c.accounts, c.policy), core.KindInvalidPool)
		after := h.state()
		if !reflect.DeepEqual(after.Accounts, before.Accounts) {
			t.Errorf("%s: accounts %+v", name, after.Accounts)
		}
		if after.Profile != before.Profile {
			t.Errorf("%s: profile %q", name, after.Profile)
		}
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Apply(over, plain(3, 9), h.policy); err == nil {
		t.Error("applied although nobody waited")
	}
	h.take(mainRequest)
	if answer := h.ask(mainRequest); answer.WaitPlan == nil || answer.Decision.CandidateCount != 2 {
		t.Error(describe(answer))
	}
	h.apply(append(good, pool.Account{ID: "new", Groups: []string{"main"}})...)
	h.chooses(mainRequest, decide.LayerLoadBalance, "new")
}

// TestApplyKeepsNothingOfTheCaller: accounts are copied.
func TestApplyKeepsNothingOfTheCaller(t *testing.T) {
	accounts := plain(1, 1)
	h := newHouse(t, accounts)
	accounts[0].ID, accounts[0].MaxConcurrency, accounts[0].Groups[0] = "changed", 100, "changed"
	h.chooses(mainRequest, decide.LayerLoadBalance, "a")
	if answer := h.ask(mainRequest); answer.WaitPlan == nil {
		t.Error(describe(answer))
	}
}

// TestApplyDuringSelects: worlds change under Selects; no grant exceeds the highest limit of any, and all comes back.
func TestApplyDuringSelects(t *testing.T) {
	const most = 6
	h := newHouse(t, plain(4, most))
	worlds := [][]pool.Account{plain(4, most), plain(2, 3), ranked(4, 1)[1:], plain(3, most)}
	stop := make(chan struct{})
	var users, operator sync.WaitGroup
	operator.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			policy := decide.Reference()
			policy.TopK = 1 + i%4
			if err := h.Apply(context.Background(), worlds[i%len(worlds)], policy); err != nil {
				t.Error(err)
				return
			}
		}
	})
	rec := newRecorder(h.clock, map[string]int{"a": most, "b": most, "c": most, "d": most})
	for i := range 8 {
		users.Go(func() {
			req := core.Request{Group: "main", SessionHash: string(rune('0' + i%3)), Explain: i%2 == 0, Alternates: i % 4}
			for range 400 {
				answer, err := h.Select(context.Background(), &req)
				if err != nil {
					t.Error(err)
					return
				}
				sel := answer.Selection
				if sel == nil {
					continue
				}
				rec.held(sel.Account.ID, sel.Token, sel.ExpiresAt)
				rec.letGo(sel.Account.ID, sel.Token)
				if _, err := h.Report(context.Background(), []core.Event{finished(sel.Token, core.OutcomeSuccess)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
	close(stop)
	operator.Wait()
	rec.check(t)
	h.apply(plain(4, most)...)
	h.inUse(0)
}
