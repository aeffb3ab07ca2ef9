package storetest

import (
	"time"

	"usher.internal/core"
)

func nameChecks() []Check {
	return []Check{
		{"names/are_anybodys_bytes", checkNames},
		{"names/in_line_are_anybodys_bytes", checkNamesInLine},
	}
}

// odd are names that would lead a store astray which keeps names and figures in one text.
func odd() []string {
	return []string{"", "-", "\x00", " ", "\n", "a\r\n$1 2\xff", " - - 0 0 ", "!-d 0 000 9999999999999999", "1:a", "%s%d()", "{}"}
}

// oddRig is a store with an account for each odd name, each with one slot.
func oddRig(t TB, h *Harness) *rig {
	t.Helper()
	r := newRig(t, h)
	for _, name := range odd() {
		r.ordinals = append(r.ordinals, int32(len(r.ordinals)))
		r.roster.Accounts = append(r.roster.Accounts, core.RosterEntry{ID: "account" + name, Limit: 1})
	}
	r.register()
	return r
}

func checkNames(t TB, h *Harness) {
	r := oddRig(t, h)
	names := odd()
	for i, account := 0, 1; i < len(names); i, account = i+1, account+1 {
		other := names[(i+1)%len(names)]
		owner := core.Owner{Name: "owner" + names[i], Incarnation: other}
		take := r.first(account)
		take.Session = r.session()
		g := &take.Grant
		g.Owner, g.Tenant, g.Group, g.Model, g.Request, g.TenantCap = owner, names[i], other, names[i], r.request(), 2
		lease := r.wantFirst(take, core.FirstTook).Lease
		if g.Owner != lease.Owner || g.Tenant != lease.Tenant || g.Group != lease.Group || g.Model != lease.Model {
			r.Errorf("took %+v, want what %+v says", lease, *g)
		}
		again := *take
		again.Grant.ID = r.fresh()
		if found := r.wantFirst(&again, core.FirstRepeated).Lease; !sameLease(found, lease) {
			r.Errorf("found %+v, want %+v", found, lease)
		}
		r.wantHeld(owner.Name, lease)
		if u := r.usage(names[i]); u.TenantLeases != 1 {
			r.Errorf("tenant %q is counted as %+v", names[i], u)
		}
		r.wantBinding(take.Session, lease.Account)
		r.endOdd(lease, names[i], account)
	}
}

// endOdd ends a lease with a cooldown of an odd model, twice: the first time for good, then by itself.
func (r *rig) endOdd(lease core.Lease, name string, account int) {
	r.Helper()
	event := of(lease, core.SettleFinished)
	event.Cool = core.Cooldown{Account: lease.Account, Model: name, Until: lease.GrantedAt.Add(time.Second), Reason: 4}
	// The one handed out again is of the same lease.
	if got := r.wantSettled(event, core.EventApplied); got.Account != lease.Account {
		r.Errorf("settled for %q, want %q", got.Account, lease.Account)
	}
	if got := r.wantSettled(event, core.EventAlreadyReleased); got.Account != lease.Account {
		r.Errorf("settled again for %q, want %q", got.Account, lease.Account)
	}
	r.wantCooling(event.Cool)
	r.wantInUse(account, 0)
	take := r.first(account)
	take.Grant.Tenant, take.Grant.Owner = name, lease.Owner
	expiring := r.wantFirst(take, core.FirstTook).Lease
	r.advance(leaseTTL)
	if expired := r.sweep(10); len(expired) != 1 || !sameLease(expired[0], expiring) {
		r.Errorf("expired are %+v, want %+v", expired, expiring)
	}
	r.wantHeld(lease.Owner.Name)
	r.wantInUse(account, 0)
}

func checkNamesInLine(t TB, h *Harness) {
	r := oddRig(t, h)
	for i, name := range odd() {
		w := r.waiter(i + 1)
		w.Tenant, w.TenantCap = name, 1
		r.wantJoin(w, core.JoinedLine, 1)
		if u := r.usage(name); u.TenantWaiting != 1 || u.Waiting != 1 {
			r.Errorf("tenant %q waits as %+v", name, u)
		}
		r.must(r.Leave(r.ctx, w.ID))
		if u := r.usage(name); u.TenantWaiting != 0 || u.Waiting != 0 {
			r.Errorf("tenant %q waits on as %+v", name, u)
		}
	}
}
