package storetest

import (
	"reflect"
	"time"

	"usher.internal/core"
	"usher.internal/core/pool"
)

func directoryChecks() []Check {
	return []Check{
		{"directory/put_replace_drop", checkPutDrop},
		{"directory/states", checkStates},
		{"directory/revision", checkRevision},
		{"directory/shares_nothing_with_its_callers", checkCopies},
	}
}

func (r *rig) pushed(since uint64) core.Pushed {
	r.Helper()
	p, err := r.Pushed(r.ctx, since)
	if err != nil {
		r.stop("Pushed: %v", err)
	}
	return p
}

func (r *rig) put(a pool.Account) uint64 {
	r.Helper()
	revision, err := r.PutAccount(r.ctx, a)
	r.must(err)
	return revision
}

func (r *rig) drop(id string) uint64 {
	r.Helper()
	revision, err := r.DropAccount(r.ctx, id)
	r.must(err)
	return revision
}

func checkPutDrop(t TB, h *Harness) {
	r := newRig(t, h, 1)
	none := r.pushed(0).Revision
	until := r.now().Add(time.Hour)
	y := pool.Account{ID: "y", Priority: 1}
	x := pool.Account{
		ID: "x", Type: "key", Provider: "p", Priority: 2, MaxConcurrency: 3, Groups: []string{"g"},
		Transports: pool.TransportsOf(pool.HTTPSSE), ModelLimits: map[string]time.Time{"m": until},
	}
	r.put(y)
	r.put(pool.Account{ID: "x", Priority: 9})
	r.put(x)
	got := r.pushed(none).Accounts
	if len(got) != 2 || got[0].ID != "x" || got[1].ID != "y" {
		r.stop("pushed are %+v, want x and y", got)
	}
	if limit := got[0].ModelLimits["m"]; !limit.Equal(until) {
		r.Errorf("the model's limit is %v, want %v", limit, until)
	}
	got[0].ModelLimits = x.ModelLimits
	if !reflect.DeepEqual(got[0], x) || !reflect.DeepEqual(got[1], y) {
		r.Errorf("pushed are %+v", got)
	}
	r.drop("x")
	r.drop("x")
	if got := r.pushed(none).Accounts; len(got) != 1 || got[0].ID != "y" {
		r.Errorf("pushed are %+v, want y", got)
	}
}

func checkStates(t TB, h *Harness) {
	r := newRig(t, h, 1)
	until := r.now().Add(time.Hour)
	for _, s := range []core.StateOverride{
		{Account: "b", State: pool.Paused},
		{Account: "a", State: pool.Disabled},
		{Account: "a", State: pool.Draining, DrainUntil: until},
	} {
		_, err := r.PutState(r.ctx, s)
		r.must(err)
	}
	got := r.pushed(0).States
	if len(got) != 2 || got[0].Account != "a" || got[0].State != pool.Draining || !got[0].DrainUntil.Equal(until) ||
		got[1].Account != "b" || got[1].State != pool.Paused {
		r.Errorf("states are %+v", got)
	}
}

func checkRevision(t TB, h *Harness) {
	r := newRig(t, h, 1)
	none := r.pushed(0).Revision
	first := r.put(pool.Account{ID: "x"})
	if first <= none {
		r.Errorf("revision went from %d to %d", none, first)
	}
	if p := r.pushed(first); p.Accounts != nil || p.States != nil || p.Revision != first {
		r.Errorf("nothing changed, and yet %+v", p)
	}
	if again := r.drop("nobody"); again != first {
		r.Errorf("dropping nobody made revision %d of %d", again, first)
	}
	second := r.drop("x")
	if second <= first {
		r.Errorf("revision went from %d to %d", first, second)
	}
	p := r.pushed(first)
	if p.Revision != second || p.Accounts == nil || len(p.Accounts) != 0 {
		r.Errorf("pushed are %+v, want an empty list of revision %d", p, second)
	}
}

func checkCopies(t TB, h *Harness) {
	r := newRig(t, h, 1)
	a := pool.Account{ID: "x", Groups: []string{"g"}, ModelLimits: map[string]time.Time{"m": {}}}
	r.put(a)
	spoil := func(a *pool.Account) {
		a.Groups[0] = "spoilt"
		a.ModelLimits["spoilt"] = time.Time{}
	}
	spoil(&a)
	for range 2 {
		got := r.pushed(0).Accounts[0]
		if got.Groups[0] != "g" || len(got.ModelLimits) != 1 {
			r.Errorf("what was pushed changed with its caller's copy: %+v", got)
		}
		spoil(&got)
	}
}
