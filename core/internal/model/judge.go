package model

import (
	"fmt"
	"slices"
	"time"
)

// Answer is what a request is to be answered.
type Answer int

// The answers.
const (
	// Takes means: one of the accounts is taken.
	Takes Answer = iota + 1
	// Repeats means: its request id has a lease that lives.
	Repeats
	// WasReleased means: its request id was released before.
	WasReleased
	// TenantFull means: the tenant holds as many leases as it may.
	TenantFull
	// BoundFull means: its session's account is full, and it is waited for.
	BoundFull
	// AllFull means: all that may serve it are full.
	AllFull
	// NoneEligible means: none may serve it now.
	NoneEligible
	// NoAccounts means: there are none.
	NoAccounts
)

var answers = [...]string{
	"", "takes one of", "repeats", "was released", "tenant holds all it may", "waits for its session's", "all full:",
	"none eligible; first back:", "no accounts",
}

// Verdict is what a request is to be answered now.
type Verdict struct {
	Answer Answer
	// Accounts are those that may be taken, or are full; with NoneEligible, those that are back first; with TenantFull,
	// a blank one if any may serve it, or comes back.
	Accounts []string
	// Fits are those with room that may serve it, also when its session takes it elsewhere.
	Fits []string
	// Back is when one may serve again; 0 when time alone brings none back.
	Back  time.Duration
	Lease *Lease // with Repeats
	// Drops says that the session's binding goes; Escapes, that it stays though another account takes.
	Drops, Escapes bool
}

// String says it in words.
func (v Verdict) String() string { return fmt.Sprint(answers[v.Answer], " ", v.Accounts) }

// Judge tells what a request is to be answered now.
func (m *Model) Judge(r *Request) Verdict {
	if l := m.leaseOf(r); l != nil {
		return Verdict{Answer: Repeats, Lease: l}
	}
	switch {
	case r.ID != "" && m.released[r.request()]:
		return Verdict{Answer: WasReleased}
	case !slices.ContainsFunc(m.Accounts, func(a Account) bool { return a.in(r.Group) }):
		return Verdict{Answer: NoAccounts}
	case m.TenantLeases > 0 && m.held(func(l *Lease) bool { return l.Tenant == r.Tenant }) >= m.TenantLeases:
		return m.whenTenantFull(r)
	}
	var v Verdict
	m.balance(r, &v)
	if id := m.sessions[r.scope()]; id != "" && r.Session != "" {
		fits, drops := m.keepsSession(m.account(id), r)
		switch v.Drops = drops; {
		case fits && m.hasRoom(id):
			return Verdict{Answer: Takes, Accounts: []string{id}, Fits: append(v.Fits, id)}
		case fits && !m.Spill:
			return Verdict{Answer: BoundFull, Accounts: []string{id}}
		case fits:
			v.Escapes = true
			if v.Answer == NoneEligible { // it drains: nobody else may send anything there
				v.Answer, v.Accounts, v.Back = AllFull, []string{id}, 0
			}
		case !drops && v.Answer == NoneEligible:
			m.comesHome(m.account(id), r, &v)
		}
	}
	return v
}

// comesHome adds the session's own account to those that are back first, if it drains and its cooldown is all that keeps the
// session from it.
func (m *Model) comesHome(a *Account, r *Request, v *Verdict) {
	at := m.CooledUntil(a.ID, "")
	if a.State != Draining || !a.maps(r.Model) || slices.Contains(r.Excluded, a.ID) || at == 0 {
		return
	}
	if v.Back == 0 || at < v.Back {
		v.Back, v.Accounts = at, nil
	}
	if at == v.Back {
		v.Accounts = append(v.Accounts, a.ID)
	}
}

// whenTenantFull says that it waits for its tenant and for no account, if any may serve it, or comes back in time. Its
// session may be bound to one that drains.
func (m *Model) whenTenantFull(r *Request) (v Verdict) {
	drains := slices.ContainsFunc(m.Accounts, func(a Account) bool { return a.State == Draining })
	m.balance(r, &v)
	switch {
	case v.Answer != NoneEligible, r.Session != "" && drains:
		return Verdict{Answer: TenantFull, Accounts: []string{""}}
	case v.Back > 0:
		return Verdict{Answer: TenantFull, Accounts: []string{""}, Back: v.Back}
	}
	return Verdict{Answer: TenantFull}
}

// Vain tells that no account may serve it before a time.
func (v Verdict) Vain(before time.Duration) bool {
	switch v.Answer {
	case NoneEligible:
		return v.Back == 0 || v.Back >= before
	case TenantFull:
		return len(v.Accounts) == 0 || v.Back >= before && v.Back > 0
	default:
		return false
	}
}

func (a *Account) in(group string) bool { return group == "" || slices.Contains(a.Groups, group) }

func (a *Account) maps(model string) bool {
	return model == "" || len(a.Models) == 0 || slices.Contains(a.Models, model)
}

func (m *Model) hasRoom(id string) bool {
	limit := m.account(id).Limit
	return limit <= 0 || m.InUse(id) < limit
}

// cooled gives when account and model are both free of cooldowns.
func (m *Model) cooled(account, model string) time.Duration {
	return max(m.CooledUntil(account, ""), m.CooledUntil(account, model))
}

// keepsSession tells whether the account that a session is bound to may serve it, and if not whether the binding goes.
func (m *Model) keepsSession(a *Account, r *Request) (fits, drops bool) {
	switch {
	case slices.Contains(r.Excluded, a.ID):
		return false, false
	case a.State == Disabled:
		return false, true
	case a.State == Paused:
		return false, false
	case r.Model != "" && m.CooledUntil(a.ID, r.Model) > 0:
		return false, true
	}
	return a.maps(r.Model) && m.CooledUntil(a.ID, "") == 0, false
}

// balance looks among all accounts of the group.
func (m *Model) balance(r *Request, v *Verdict) {
	var fit, free, back []string
	for i := range m.Accounts {
		a := &m.Accounts[i]
		if a.State != Active || !a.in(r.Group) || !a.maps(r.Model) || slices.Contains(r.Excluded, a.ID) {
			continue
		}
		if at := m.cooled(a.ID, r.Model); at > 0 {
			if v.Back == 0 || at < v.Back {
				v.Back, back = at, nil
			}
			if at == v.Back {
				back = append(back, a.ID)
			}
			continue
		}
		fit = append(fit, a.ID)
		if m.hasRoom(a.ID) {
			free = append(free, a.ID)
		}
	}
	switch {
	case len(fit) == 0:
		v.Answer, v.Accounts = NoneEligible, back
	case len(free) == 0:
		v.Answer, v.Accounts = AllFull, fit
	default:
		v.Answer, v.Accounts, v.Fits = Takes, free, free
	}
}

// settleBinding drops a session's binding that a verdict found unfit.
func (m *Model) settleBinding(r *Request, v Verdict) {
	if v.Drops {
		delete(m.sessions, r.scope())
	}
}

// Dropped tells that the binding of a request's session was found unfit and is gone.
func (m *Model) Dropped(r *Request) error {
	id := m.sessions[r.scope()]
	if id == "" {
		return fmt.Errorf("dropped a binding that is not there")
	}
	if _, drops := m.keepsSession(m.account(id), r); !drops {
		return fmt.Errorf("dropped the binding to %s", id)
	}
	delete(m.sessions, r.scope())
	return nil
}
