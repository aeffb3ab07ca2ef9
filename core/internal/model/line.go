package model

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// String gives a waiter in short.
func (w *Waiter) String() string {
	return fmt.Sprintf("{%s %s behind %d arrived %v group %q model %q session %q bound %q}",
		w.Tenant, w.ID, w.Behind, time.Duration(w.arrived), w.Group, w.Model, w.Session, w.Bound)
}

// MayWait tells how long a request that was judged so may stand in line, and how many may on one account; 0 when it may not.
func (m *Model) MayWait(r *Request, v Verdict) (limit time.Duration, most int) {
	switch {
	case v.Answer == AllFull, (v.Answer == TenantFull || v.Answer == NoneEligible) && !v.Vain(m.Now+min(m.FallbackWait, r.Wait)):
		return min(m.FallbackWait, r.Wait), m.FallbackMost
	case v.Answer == BoundFull:
		return min(m.StickyWait, r.Wait), m.StickyMost
	}
	return 0, 0
}

func (m *Model) waits(tenant string) (n int) {
	for _, w := range m.Line {
		if w.Tenant == tenant {
			n++
		}
	}
	return n
}

// tenantFull tells that as many of a tenant wait as may; one that waits for its tenant alone is bound by a cap in any case.
func (m *Model) tenantFull(tenant string, v Verdict, most int) bool {
	if v.Answer == TenantFull && m.TenantWaits == 0 {
		return m.waits(tenant) >= most
	}
	return m.TenantWaits > 0 && m.waits(tenant) >= m.TenantWaits
}

// Join tells that a request stands in line on an account.
func (m *Model) Join(r *Request, account string) (*Waiter, error) {
	v := m.Judge(r)
	limit, most := m.MayWait(r, v)
	switch {
	case limit == 0 || !slices.Contains(v.Accounts, account):
		return nil, fmt.Errorf("stands in line on %s, and should not: %v", account, v)
	case account != "" && m.Waiting(account) >= most:
		return nil, fmt.Errorf("is one more than may wait on %s", account)
	case m.tenantFull(r.Tenant, v, most):
		return nil, fmt.Errorf("is one more than may wait of %s", r.Tenant)
	}
	m.settleBinding(r, v)
	if m.waits(r.Tenant) == 0 {
		m.turns[r.Tenant] = m.event()
	}
	w := &Waiter{Request: *r, Account: account, Until: m.Now + limit, arrived: int64(m.Now), seq: m.event()}
	if v.Answer == BoundFull {
		w.Bound = account
	}
	m.Line = append(m.Line, w)
	return w, nil
}

// Refused tells that the line did not take a request that would have waited on an account.
func (m *Model) Refused(r *Request, account string, tenant bool) error {
	v := m.Judge(r)
	limit, most := m.MayWait(r, v)
	m.settleBinding(r, v)
	switch {
	case limit == 0 || !slices.Contains(v.Accounts, account):
	case tenant && m.tenantFull(r.Tenant, v, most), !tenant && m.Waiting(account) >= most:
		return nil
	}
	return fmt.Errorf("was not let into the line on %s, and should be: %v", account, v)
}

// Leave takes a waiter out.
func (m *Model) Leave(w *Waiter) {
	m.Line = slices.DeleteFunc(m.Line, func(other *Waiter) bool { return other == w })
}

// Move tells that a waiter counts on another account now: its session is bound to that, or to none that may serve it any
// more, or it waited for its tenant and now waits for what is full.
func (m *Model) Move(w *Waiter, account string) error {
	v := m.Judge(&w.Request)
	right := v.Answer == BoundFull && w.Bound != account ||
		(v.Answer == AllFull || v.Answer == NoneEligible && !v.Vain(w.Until)) && (w.Bound != "" || w.Account == "")
	if !right || !slices.Contains(v.Accounts, account) {
		return fmt.Errorf("moved to %s, and should be: %v", account, v)
	}
	if w.Bound, w.Account = "", account; v.Answer == BoundFull {
		w.Bound = account
	}
	m.settleBinding(&w.Request, v)
	return nil
}

// TimedOut tells that a waiter's time was over, and whether that was said to be for its tenant.
func (m *Model) TimedOut(w *Waiter, tenant bool) error {
	m.Leave(w)
	v := m.Judge(&w.Request)
	switch {
	case tenant && v.Answer != TenantFull:
		return fmt.Errorf("was refused for its tenant, and should be: %v", v)
	case tenant && len(v.Accounts) == 0:
		return nil // no slot that its tenant gives back would help it: it is not kept waiting
	}
	if w.Until != m.Now {
		return fmt.Errorf("its wait was to end at %v", w.Until)
	}
	return nil
}

// TurnedAway tells that a waiter was refused before its time was over: none may serve it in that.
func (m *Model) TurnedAway(w *Waiter) error {
	m.Leave(w)
	v := m.Judge(&w.Request)
	// Its tenant may have taken its last slot in the same step: that none may serve it holds all the same.
	if v.Vain(w.Until) {
		m.settleBinding(&w.Request, v)
		return nil
	}
	return fmt.Errorf("was turned away, and should be: %v", v)
}

// Alike tells that a waiter was given the lease that its request id has.
func (m *Model) Alike(w *Waiter, l *Lease) error {
	m.Leave(w)
	if v := m.Judge(&w.Request); v.Answer != Repeats || v.Lease != l {
		return fmt.Errorf("was given %s's lease of its request id, and should be: %v", l.Account, v)
	}
	return nil
}

// order gives the line in fairness order.
func (m *Model) order() []*Waiter {
	line := slices.Clone(m.Line)
	slices.SortFunc(line, func(a, b *Waiter) int {
		return cmp.Or(cmp.Compare(m.turns[a.Tenant], m.turns[b.Tenant]),
			cmp.Compare(a.arrived+int64(a.Behind)*int64(m.Aging), b.arrived+int64(b.Behind)*int64(m.Aging)), cmp.Compare(a.seq, b.seq))
	})
	return line
}

// passed is a waiter whom another was served before, out of turn.
type passed struct {
	waiter *Waiter
	by     string
}

// lets gives the accounts with room that let a waiter look anew when a slot of theirs comes free, whichever it takes then. One
// that stands behind an account that is not to serve it looks anew where it then stands, and is no measure for others.
func lets(w *Waiter, v Verdict) []string {
	switch {
	case v.Answer != Takes || w.Bound != "" && !slices.Contains(v.Accounts, w.Bound):
		return nil
	case w.Bound != "":
		return []string{w.Bound}
	}
	return v.Fits
}

// turn notes whom a waiter is served before although some account that has room fits both: at the end of the instant that
// must have been served too.
func (m *Model) turn(w *Waiter, v Verdict) {
	var before *Waiter
	for _, account := range lets(w, v) {
		for _, other := range m.order() {
			if other == w {
				return
			}
			if other.Until > m.Now && slices.Contains(lets(other, m.Judge(&other.Request)), account) {
				before = other
				break
			}
		}
	}
	if before != nil {
		m.passed = append(m.passed, passed{before, fmt.Sprintf("%v, whom no more fit than %v", w, v.Fits)})
	}
}

// Quiet tells who should not stand in line any more, once all that was to happen has.
func (m *Model) Quiet() error {
	for _, p := range m.passed {
		if slices.Contains(m.Line, p.waiter) {
			return fmt.Errorf("%v was passed by %s", p.waiter, p.by)
		}
	}
	m.passed = nil
	for _, w := range m.Line {
		v := m.Judge(&w.Request)
		fault := ""
		switch {
		case w.Until <= m.Now:
			fault = "its time is over"
		case v.Answer == Takes || v.Answer == Repeats || v.Answer == WasReleased:
			fault = "it could be answered"
		case w.Bound != "" && (v.Answer == AllFull || v.Answer == NoneEligible || v.Answer == BoundFull && v.Accounts[0] != w.Bound):
			fault = "its account may not serve it any more"
		case v.Vain(w.Until):
			fault = "none may serve it in its time"
		}
		if fault != "" {
			return fmt.Errorf("%v still stands in line, but %s: %v", w, fault, v)
		}
	}
	return nil
}
