package core

import (
	"context"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/queue"
)

// Priority orders the waiters of one tenant.
type Priority = queue.Priority

// The priorities; PriorityNormal is the zero value.
const (
	PriorityLow    = queue.Low
	PriorityNormal = queue.Normal
	PriorityHigh   = queue.High
)

// LinePlace tells how a Select stood in line. Its zero value is that it did not.
type LinePlace struct {
	// JoinedAt is its place when it joined, from 1.
	JoinedAt int
	// Time is how long it stood.
	Time time.Duration
	// Woken is what let it go on; 0 when nothing did.
	Woken WakeReason
}

const (
	// A Select that waits ends so long before its caller's deadline that the answer arrives: a tenth
	// of what is left, within these bounds.
	leastMargin = 5 * time.Millisecond
	mostMargin  = 250 * time.Millisecond
	// waiterGrace is how much longer than its wait a waiter counts that nobody takes away.
	waiterGrace = 5 * time.Second
)

// stay is how a Select may stand in line.
type stay struct {
	account string // that it counts on; blank while it waits for a slot of its tenant's
	limit   time.Duration
	most    int // who may wait alike
	capped  bool
}

// mayWait tells how the Select may stand in line, if it may. It waits for what is full, for what comes back from a deadline while
// it waits, and for its tenant to give a slot back.
func (r *run) mayWait(ctx context.Context) (s stay, may bool) {
	policy := r.world.policy
	if r.req.Wait <= 0 || r.req.DryRun {
		return stay{}, false
	}
	s.limit, s.most = policy.FallbackWait.Timeout, policy.FallbackWait.MaxWaiting
	plan, refusal := r.answer.WaitPlan, r.answer.Refusal
	switch {
	case plan != nil:
		s = stay{account: plan.Account.ID, limit: plan.Timeout, most: plan.MaxWaiting}
	case refusal != nil && refusal.Reason == RefusedTenantLimit:
		s.capped = true
	case refusal != nil && refusal.Reason == RefusedOwnerUnavailable:
		s.limit, s.most = policy.StickyWait.Timeout, policy.StickyWait.MaxWaiting
	}
	s.limit = min(s.limit, r.req.Wait, r.untilDeadline(ctx))
	end := r.started.Add(s.limit)
	switch {
	case s.capped:
		return s, r.slotHelps(end)
	case refusal != nil && !refusal.endsBefore(end):
		return stay{}, false
	case refusal != nil:
		s.account = r.target()
	}
	return s, true
}

// slotHelps tells whether a Select that its tenant's cap keeps from any account would be served before a time if the tenant had a slot.
func (r *run) slotHelps(before time.Time) bool {
	r.rank()
	if _, probing := r.workspace.Probing(); probing || r.workspace.CandidateCount() > 0 {
		return true
	}
	if conversation := r.asked.SessionHash != "" || r.asked.ResponseID != ""; conversation && len(r.world.draining) > 0 {
		return true // its own account may be one of those; that was not looked up
	}
	_, next := decide.CountReasons(&r.input)
	return next != nil && next.Before(before)
}

// endsBefore tells that time alone ends what a Select was refused for, before another time.
func (f *Refusal) endsBefore(at time.Time) bool {
	switch f.Reason {
	case RefusedNoneEligible, RefusedOwnerUnavailable:
		return !f.NextEligibleAt.IsZero() && f.NextEligibleAt.Before(at)
	case RefusedNoAccounts, RefusedTenantLimit, RefusedQueueFull, RefusedWaitTimeout:
	}
	return false
}

// target gives the account that a Select for which nothing is free waits for: the one of its plan, or the first that comes back.
func (r *run) target() string {
	switch plan, refusal := r.answer.WaitPlan, r.answer.Refusal; {
	case plan != nil:
		return plan.Account.ID
	case refusal.Reason == RefusedOwnerUnavailable:
		return r.decision.Response.Account
	}
	if id := r.backAt(r.answer.Refusal.NextEligibleAt); id != "" {
		return id
	}
	return r.decision.Session.Account
}

// untilDeadline gives the time until the caller's deadline, less the margin.
func (r *run) untilDeadline(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return r.req.Wait
	}
	left := deadline.Sub(r.s.clock.Now())
	return left - min(max(left/10, leastMargin), mostMargin)
}

// attempt goes through the layers, behind those who wait. When nothing is free and the Select may
// wait, it stands in line afterwards: w is the waiter.
func (r *run) attempt(ctx context.Context) (lease *Lease, w *waiter, err error) {
	if r.s.shared && !r.req.DryRun {
		return r.attemptShared(ctx)
	}
	if !r.s.line.waits() || r.req.DryRun {
		lease, err = r.layers(ctx)
		if lease != nil || err != nil {
			r.tellAlike(lease)
			return lease, nil, err
		}
		if _, may := r.mayWait(ctx); !may {
			return nil, nil, nil
		}
		// Something may have come free since; who frees it from now on sees this waiter.
		r.again()
	}
	l := r.s.line
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUp(ctx)
	l.busy.Add(1)
	if r.world != r.s.registry.current.Load() {
		r.again() // the pool changed on the way to the lock
	}
	if lease, err = r.layers(ctx); lease == nil && err == nil {
		if w, err = r.joinStore(ctx); w != nil {
			w, err = r.enter(ctx, w)
		}
	}
	r.attempted(lease, err)
	if w == nil {
		l.busy.Add(-1)
	}
	return lease, w, err
}

// attemptShared is attempt where the store is a network away: nobody holds the line while he waits for an answer. The store keeps a slot
// that comes free for those who wait, for a moment.
func (r *run) attemptShared(ctx context.Context) (lease *Lease, w *waiter, err error) {
	if lease, err = r.layers(ctx); lease == nil && err == nil {
		w, err = r.joinStore(ctx)
	}
	l := r.s.line
	if w == nil {
		if err == nil && l.waits() {
			l.noteAttempt(r, lease)
		}
		return lease, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, err = r.enter(ctx, w); w != nil {
		l.busy.Add(1)
		// A slot may have come free between the look and the joining, of which nobody was told.
		l.noteJoined()
	}
	r.attempted(nil, err)
	return nil, w, err
}

// attempted tells those who wait alike what an attempt came to. The line's mu is held.
func (r *run) attempted(lease *Lease, err error) {
	l := r.s.line
	if lease != nil {
		if !r.decision.Repeated {
			l.took(r.req.Tenant)
		}
		l.answerAlike(r.bound.Grant.Request, &r.decision, WokenByRelease)
	}
	if err == nil {
		l.rebound(r, lease, WokenByRelease)
	}
}

// tellAlike answers those who began to wait under the same request id while it took without the line's lock.
func (r *run) tellAlike(lease *Lease) {
	l := r.s.line
	if lease == nil || r.req.DryRun || r.bound.Grant.Request == (RequestKey{}) || !l.waits() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answerAlike(r.bound.Grant.Request, &r.decision, WokenByRelease)
}

// joinStore counts a waiter, if the Select may wait and the store takes it.
func (r *run) joinStore(ctx context.Context) (*waiter, error) {
	stay, may := r.mayWait(ctx)
	if !may {
		return nil, nil
	}
	w := &waiter{
		run: r, id: r.s.names.nextWaiter(), request: r.bound.Grant.Request, account: stay.account,
		layer: r.decision.Layer, limit: stay.limit, until: r.s.clock.Now().Add(stay.limit), done: make(chan served, 1),
		capped: stay.capped,
	}
	if r.decision.Layer != decide.LayerLoadBalance {
		w.bound = w.account
	}
	joins := Waiter{
		ID: w.id, Account: w.account, Tenant: r.req.Tenant, TTL: max(stay.limit, 0) + waiterGrace,
		AccountCap: stay.most, TenantCap: r.world.policy.Tenant(r.req.Tenant).MaxWaiting,
	}
	joined := Joined{Status: JoinAccountFull}
	if stay.capped {
		joined.Status = JoinTenantFull
		if joins.AccountCap = 0; joins.TenantCap == 0 {
			joins.TenantCap = stay.most
		}
	}
	if stay.most > 0 {
		var err error
		if joined, err = r.s.store.Join(ctx, &joins); err != nil {
			return nil, err
		}
	}
	if joined.Status != JoinedLine {
		limit := joins.AccountCap
		if joined.Status == JoinTenantFull {
			limit = joins.TenantCap
		}
		w.refused, w.most = joined.Status, limit
	}
	return w, nil
}

// enter has a waiter that was counted stand in line; nil when it was not, and the answer says why. The line's mu is held.
func (r *run) enter(ctx context.Context, w *waiter) (*waiter, error) {
	l := r.s.line
	switch counts := w.refused == JoinedLine; {
	case l.closed:
		if counts {
			r.leaveStore(ctx, w)
		}
		return nil, errNotServing
	case !counts:
		r.refuseLine(w.refused, w.most, w.bound, w.capped)
		return nil, nil
	}
	w.Value, l.all[w] = w, struct{}{}
	l.remember(w)
	w.keep()
	r.line.JoinedAt = l.enter(w, w.bound)
	if w.capped {
		l.cap(r.req.Tenant)
	}
	if len(l.all) == 1 {
		l.wake()
	}
	return w, nil
}

// wait stands in line until the end of it. The lease is nil when the wait ended without one; the answer says why then.
func (r *run) wait(ctx context.Context, w *waiter) (*Lease, error) {
	since := r.s.clock.Now()
	out := r.stand(ctx, w)
	r.leaveStore(ctx, w)
	r.line.Time, r.line.Woken = r.s.clock.Now().Sub(since), out.woken
	switch {
	case out.refused:
		r.answer.Refusal.Place = r.line.JoinedAt
	case out.lease == nil && out.err == nil:
		r.refuseTimeout(w)
	}
	return out.lease, out.err
}

// stand waits until the waiter is served, its time is over, or its caller is gone.
func (r *run) stand(ctx context.Context, w *waiter) served {
	fired, stop := r.s.clock.After(max(w.limit, 0))
	defer stop()
	var end served
	select {
	case out := <-w.done:
		return out
	case <-fired:
		r.s.line.lastLook(ctx, w)
	case <-ctx.Done():
		end.err = ctx.Err()
	}
	if r.s.line.leave(w) {
		return end
	}
	return <-w.done
}

// leaveStore counts the waiter no more; one that the store does not hear of now ends by its own time.
func (r *run) leaveStore(ctx context.Context, w *waiter) {
	if err := r.s.store.Leave(context.WithoutCancel(ctx), w.id); err != nil {
		r.s.logger.Warn("a waiter could not be taken off the store's count; it ends by its time", "account", w.account, "error", err)
	}
}

// again makes the run ready for another attempt, over the pool as it is now.
func (r *run) again() {
	now := r.s.clock.Now()
	answer, id := r.answer, r.decision.ID
	*answer = Answer{}
	r.look(now)
	r.answer, r.decision.ID = answer, id
}

// refuseLine says that the line does not take the Select. The line's mu is held.
func (r *run) refuseLine(status JoinStatus, limit int, bound string, capped bool) {
	reason := RefusedQueueFull
	if status == JoinTenantFull {
		reason = RefusedTenantLimit
	}
	r.answer.WaitPlan = nil
	r.refuse(reason)
	r.answer.Refusal.Limit = limit
	if !capped {
		r.answer.Refusal.EstimatedWait = r.s.line.estimate(classFor(r.asked.Query(), r.req.Excluded, bound), limit)
	}
	r.answer.Refusal.askAgain()
}

// refuseTimeout says that the wait was over before a slot came free, or before the tenant gave one back.
func (r *run) refuseTimeout(w *waiter) {
	r.answer.WaitPlan, r.answer.Refusal = nil, nil
	r.decision.PreviousHit, r.decision.SessionHit = false, false
	reason := RefusedWaitTimeout
	if r.capped {
		reason = RefusedTenantLimit
	}
	f, colds := r.refusal(reason), []*decide.Cold(nil)
	fresh := r.input
	if reason == RefusedWaitTimeout {
		// Its last look is as old as its wait may be; the decision stays explained by that.
		fresh.Colds, fresh.Now = r.s.colds.gather(r.view.Ordinals(), &colds), r.s.clock.Now()
	}
	f.count(&fresh)
	f.Place, f.EstimatedWait = r.line.JoinedAt, w.estimate
	f.askAgain()
}

// backAt finds the account that may serve first, at the time that the refusal named.
func (r *run) backAt(at time.Time) string {
	fitness := r.asked.Fitness(decide.LayerLoadBalance, r.world.policy)
	for i := range r.view.Len() {
		a := r.view.Account(i)
		if back, ok := decide.NextEligible(a, r.s.colds.of(a.Ordinal), &fitness, r.started); ok && !back.After(at) {
			return a.ID
		}
	}
	return ""
}

// fullRetry is the least hint of when to ask again where all is full for now.
const fullRetry = time.Second

// askAgain says when to ask again for what was full.
func (f *Refusal) askAgain() {
	if f.RetryAfter == 0 {
		f.RetryAfter = max(f.EstimatedWait, fullRetry)
	}
}
