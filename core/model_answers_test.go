package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher.internal/core"
	"usher.internal/core/internal/model"
)

// answered compares an answer.
func (p *play) answered(a *asked) error {
	if a.err != nil {
		return p.failed(a)
	}
	switch {
	case a.answer.Selection != nil:
		return p.selected(a, a.answer.Selection)
	case a.answer.Refusal != nil:
		return p.refused(a, a.answer.Refusal)
	}
	plan := a.answer.WaitPlan
	p.tell("    #%d is planned to wait on %s", a.number, plan.Account.ID)
	v := a.judged
	if v.Answer != model.AllFull && v.Answer != model.BoundFull || a.req.Wait > 0 || !slices.Contains(v.Accounts, plan.Account.ID) {
		return fmt.Errorf("should be: %v", v)
	}
	if plan.Waiting != p.m.Waiting(plan.Account.ID) {
		return fmt.Errorf("was told that %d wait", plan.Waiting)
	}
	return nil
}

func (p *play) failed(a *asked) error {
	p.tell("    #%d fails: %v", a.number, a.err)
	switch {
	case errors.Is(a.err, context.Canceled) && a.waiter != nil:
		p.m.Leave(a.waiter)
		return nil
	case core.KindOf(a.err) != core.KindRequestReleased:
		return a.err
	case a.waiter != nil:
		p.m.Leave(a.waiter)
	}
	if v := p.m.Judge(&a.req); v.Answer != model.WasReleased {
		return fmt.Errorf("should be: %v", v)
	}
	return nil
}

func (p *play) selected(a *asked, sel *core.Selection) error {
	l := a.lease
	p.tell("    #%d has %s (repeated: %v)", a.number, sel.Account.ID, a.answer.Decision.Repeated)
	if a.answer.Decision.Repeated {
		l = p.leaseOf(sel.Token)
		v := a.judged
		if a.waiter != nil {
			if err := p.m.Alike(a.waiter, l); err != nil {
				return err
			}
		} else if v.Answer != model.Repeats || v.Lease != l {
			return fmt.Errorf("should be: %v", v)
		}
	} else if l != nil {
		l.Token = sel.Token
	}
	if l == nil || sel.Account.ID != l.Account || sel.Token == "" || sel.ExpiresAt.Sub(p.began) != l.Expires {
		return fmt.Errorf("was given %+v, should be %+v", sel, l)
	}
	stood := time.Duration(0)
	if a.waiter != nil {
		stood = p.m.Now - a.since
	}
	if sel.Line.Time != stood || (sel.Line.Woken == 0) != (a.waiter == nil) {
		return fmt.Errorf("stood in line as %+v, should be %v", sel.Line, stood)
	}
	return nil
}

func (p *play) refused(a *asked, f *core.Refusal) error {
	p.tell("    #%d is refused: %+v", a.number, *f)
	v, right := a.judged, false
	limit, _ := p.m.MayWait(&a.req, v)
	switch f.Reason {
	case core.RefusedWaitTimeout, core.RefusedTenantLimit:
		if a.waiter != nil {
			return p.m.TimedOut(a.waiter, f.Reason == core.RefusedTenantLimit)
		}
		right = f.Reason == core.RefusedTenantLimit && (a.tenant || v.Answer == model.TenantFull && limit == 0)
	case core.RefusedNoneEligible:
		if a.waiter != nil {
			return p.m.TurnedAway(a.waiter)
		}
		right = v.Answer == model.NoneEligible && limit == 0
		if back := f.NextEligibleAt; v.Back == 0 != back.IsZero() || !back.IsZero() && back.Sub(p.began) != v.Back {
			return fmt.Errorf("is told to come back at %v, should be %v", back.Sub(p.began), v.Back)
		}
	case core.RefusedQueueFull:
		right = a.full != "" && !a.tenant
	case core.RefusedNoAccounts:
		right = v.Answer == model.NoAccounts
	case core.RefusedOwnerUnavailable:
	}
	if !right {
		return fmt.Errorf("should be: %v", v)
	}
	return nil
}
