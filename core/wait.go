package core

import (
	"context"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/core/queue"
)

// Priority orders the waiters of one tenant.
type Priority = queue.Priority

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

// mayWait tells for which account and how long the Select may stand in line. It waits
// for what is full, and for what comes back from a deadline while it waits.
func (r *run) mayWait(ctx context.Context) (account *pool.Account, limit time.Duration, most int) {
	policy := r.world.policy
	if r.req.Wait <= 0 || r.req.DryRun {
		return nil, 0, 0
	}
	switch {
	case r.answer.WaitPlan != nil:
		p := r.answer.WaitPlan
		account, limit, most = p.Account, p.Timeout, p.MaxWaiting
	case r.answer.Refusal != nil && r.answer.Refusal.Reason == RefusedNoneEligible:
		back := r.answer.Refusal.NextEligibleAt
		limit, most = policy.FallbackWait.Timeout, policy.FallbackWait.MaxWaiting
		if back.IsZero() || back.Sub(r.started) >= min(limit, r.req.Wait) {
			return nil, 0, 0
		}
		account = r.backAt(back)
	}
	return account, min(limit, r.req.Wait, r.untilDeadline(ctx)), most
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

// wait stands in line. The lease is nil when the wait ended without one; the answer says why then.
func (r *run) wait(ctx context.Context, account *pool.Account, limit time.Duration, most int) (*Lease, error) {
	w := &waiter{run: r, id: r.s.names.nextWaiter(), account: account.ID, done: make(chan served, 1)}
	since := r.s.clock.Now()
	joined, err := r.s.store.Join(ctx, &Waiter{
		ID: w.id, Account: w.account, Tenant: r.req.Tenant, TTL: max(limit, 0) + waiterGrace,
		AccountCap: most, TenantCap: r.world.policy.Tenant(r.req.Tenant).MaxWaiting,
	})
	if err != nil {
		return nil, err
	}
	if joined.Status != JoinedLine || most <= 0 {
		r.leaveStore(ctx, w)
		r.refuseLine(joined.Status, most)
		return nil, nil
	}
	lease, in, err := r.join(ctx, w)
	if !in {
		r.leaveStore(ctx, w)
		return lease, err
	}
	out := r.stand(ctx, w, limit)
	r.leaveStore(ctx, w)
	r.line.Time, r.line.Woken = r.s.clock.Now().Sub(since), out.woken
	if out.lease == nil && out.err == nil {
		r.refuseTimeout()
	}
	return out.lease, out.err
}

// join looks once more under the line's lock, and stands in line if that took nothing.
func (r *run) join(ctx context.Context, w *waiter) (lease *Lease, in bool, err error) {
	l := r.s.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false, errNotServing
	}
	l.busy.Add(1)
	r.again()
	if lease, err = r.layers(ctx); lease != nil || err != nil {
		l.busy.Add(-1)
		return lease, false, err
	}
	bound := ""
	if plan := r.answer.WaitPlan; plan != nil && plan.Account.ID != w.account {
		w.account = plan.Account.ID
		if err := r.s.store.Move(ctx, w.id, w.account); err != nil {
			l.busy.Add(-1)
			return nil, false, err
		}
	}
	if r.decision.Layer != decide.LayerLoadBalance {
		bound = w.account
	}
	w.class = classFor(r.asked.Query(), r.req.Excluded, bound)
	l.all[w] = struct{}{}
	r.line.JoinedAt = l.queue.Join(&w.Waiter, queue.Ticket[class]{
		Class: w.class, Accounts: r.world.accountsOf(w.class), Tenant: r.req.Tenant,
		Priority: r.req.Priority, Arrived: r.started.Sub(r.s.started),
	})
	w.Value = w
	select {
	case l.kick <- struct{}{}:
	default:
	}
	return nil, true, nil
}

// stand waits until the waiter is served, its time is over, or its caller is gone.
func (r *run) stand(ctx context.Context, w *waiter, limit time.Duration) served {
	fired, stop := r.s.clock.After(max(limit, 0))
	defer stop()
	var end served
	select {
	case out := <-w.done:
		return out
	case <-fired:
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

// refuseLine says that the line does not take the Select.
func (r *run) refuseLine(status JoinStatus, most int) {
	reason, limit := RefusedQueueFull, most
	if status == JoinTenantFull {
		reason, limit = RefusedTenantLimit, r.world.policy.Tenant(r.req.Tenant).MaxWaiting
	}
	r.answer.WaitPlan = nil
	r.refuse(reason)
	r.answer.Refusal.Limit = limit
	r.answer.Refusal.EstimatedWait = r.s.line.estimate(limit)
}

// refuseTimeout says that the wait was over before a slot came free.
func (r *run) refuseTimeout() {
	l := r.s.line
	r.answer.WaitPlan, r.answer.Selection = nil, nil
	r.refuse(RefusedWaitTimeout)
	r.answer.Refusal.Place = r.line.JoinedAt
	r.answer.Refusal.EstimatedWait = l.estimate(r.line.JoinedAt)
}

// backAt finds the account that may serve first, at the time that the refusal named.
func (r *run) backAt(at time.Time) *pool.Account {
	fitness := r.asked.Fitness(decide.LayerLoadBalance, r.world.policy)
	for i := range r.view.Len() {
		a := r.view.Account(i)
		if back, ok := decide.NextEligible(a, &fitness, r.started); ok && !back.After(at) {
			return a
		}
	}
	return nil
}

// grantRate is how fast the line moves: the smoothed time between grants.
type grantRate struct {
	last time.Time
	mean time.Duration
}

func (g *grantRate) granted(now time.Time) {
	if !g.last.IsZero() {
		gap := now.Sub(g.last)
		if g.mean == 0 {
			g.mean = gap
		} else {
			g.mean += (gap - g.mean) / 8
		}
	}
	g.last = now
}

// estimate gives how long a place in line means; 0 when nothing was granted yet.
func (l *line) estimate(place int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(place) * l.rate.mean
}
