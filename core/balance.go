package core

import (
	"context"
	"slices"
	"time"

	"usher.internal/core/decide"
)

// keptRaces is after how many attempts what has room by the loads and is not given is taken to be another replica's turn.
const keptRaces = 3

// maxRaces bounds how often a Select goes on after others took what it saw free.
const maxRaces = 64

// rank scores the candidates on the loads that the sticky layers brought, once.
func (r *run) rank() {
	if r.ranked {
		return
	}
	r.ranked = true
	r.s.stats.gatherView(r.view, r.stats, r.world.policy, r.started)
	r.input = decide.Input{
		View: r.view, Loads: r.loads, Stats: r.stats, Colds: r.s.colds.gather(r.view.Ordinals(), &r.colds),
		Request: &r.asked, Policy: r.world.policy, Now: r.started,
	}
	r.workspace.Rank(&r.input)
	if r.workspace.CandidateCount() == 0 {
		return
	}
	anchor := r.asked.Anchor()
	var entropy uint64
	if anchor.Blank() {
		entropy = r.s.entropy()
	}
	r.seed = decide.Seed(anchor, entropy)
	r.drawn = r.workspace.Draw(r.seed)
}

// balance takes the first of the drawn order that has room, then of the others in
// rank order; when at one instant none has, it plans a wait for the first drawn.
func (r *run) balance(ctx context.Context) (*Lease, error) {
	r.rank()
	r.decision.CandidateCount = r.workspace.CandidateCount()
	if r.decision.CandidateCount == 0 {
		r.withoutCandidate()
		return nil, nil
	}
	r.decision.TopK, r.decision.LoadSkew = r.workspace.TopK(), r.workspace.Skew()
	if r.req.DryRun {
		return r.wouldTake(), nil
	}
	r.first.Grant, r.first.Session = r.bound.Grant, r.bound.Session
	r.first.Ordinals, r.first.Loads = r.view.Ordinals(), r.later
	r.order(r.loads, true, 0)
	for races := 1; races <= maxRaces; races++ {
		if r.first.Substitute, r.first.SessionTTL = r.escaping() && !r.home, r.bound.SessionTTL; r.first.Substitute {
			r.first.SessionTTL = r.world.policy.Escape.Length
		}
		taken, err := r.s.store.TakeFirst(ctx, &r.first)
		if err != nil {
			return nil, err
		}
		switch taken.Status {
		case FirstTook:
			r.served()
			return r.leased(&taken.Lease), nil
		case FirstRepeated:
			r.repeat(&taken.Lease)
			return r.leased(&taken.Lease), nil
		case FirstReleased:
			return nil, errRequestReleased
		case FirstTenantFull:
			r.refuse(RefusedTenantLimit)
			return nil, nil
		case FirstNone:
			if r.s.shared && races >= keptRaces {
				r.passKept()
			}
		}
		if r.order(r.later, false, 0); len(r.first.Order) == 0 {
			break
		}
	}
	r.planFallback(r.later)
	return nil, nil
}

// order fills the choices: the drawn order, then the others with room in rank order.
// The first time the drawn ones are tried whatever the loads say, alone if one of them
// seems to have room; later only who has room by loads that are of one instant.
// others bounds how many of the others are listed; 0 is all.
func (r *run) order(loads []decide.Load, first bool, others int) {
	r.first.Order, r.rows, r.home = r.first.Order[:0], r.rows[:0], false
	free := false
	for i := range r.drawn {
		c := &r.drawn[i]
		open := r.hasRoom(loads, c.Row)
		if open || first {
			free = r.list(c) && open || free
		}
	}
	if !first || !free {
		rest := r.workspace.Rest(loads, others)
		for i := range rest {
			r.list(&rest[i])
		}
	}
	r.listLeft(loads)
}

// list adds a choice, unless it is kept for another replica, or the session is leaving it.
func (r *run) list(c *decide.Candidate) bool {
	if slices.Contains(r.kept, c.Row) || c.Ordinal == r.judge.leaves {
		return false
	}
	r.first.Order = append(r.first.Order, Choice{Ordinal: c.Ordinal, Probe: r.workspace.NeedsProbe(c.Row)})
	r.rows = append(r.rows, c.Row)
	return true
}

// listLeft adds the account that the session leaves because it does badly, where nobody else can serve.
func (r *run) listLeft(loads []decide.Load) {
	if r.judge.leaves == nobody || len(r.first.Order) > 0 {
		return
	}
	row := int32(slices.Index(r.view.Ordinals(), r.judge.leaves))
	if row >= 0 && r.hasRoom(loads, row) && !slices.Contains(r.kept, row) {
		r.first.Order = append(r.first.Order, Choice{Ordinal: r.judge.leaves, Probe: r.workspace.NeedsProbe(row)})
		r.rows, r.home = append(r.rows, row), true
	}
}

// passKept notes who was not taken although it has room.
func (r *run) passKept() {
	for i := range r.first.Order {
		if row := r.rows[i]; r.hasRoom(r.later, row) {
			r.kept = append(r.kept, row)
		}
	}
}

func (r *run) hasRoom(loads []decide.Load, row int32) bool { return r.workspace.HasRoom(loads, row) }

// withoutCandidate answers where load balancing may send the request to nobody. The session's own account may serve it all the
// same, when it drains; then that is waited for, and else an account whose probe is out.
func (r *run) withoutCandidate() {
	home := &r.decision.Session
	switch row, some := r.workspace.Probing(); {
	case home.Fate == BindingFull, home.Fate == BindingKept && home.Reason == decide.Probing:
		r.planBound(home, r.world.policy.FallbackWait)
	case some:
		r.planOn(row, r.loads)
	default:
		r.refuse(RefusedNoneEligible)
		if at, back := r.homeBack(); back {
			r.answer.Refusal.backAt(at, r.started)
		}
	}
}

// homeBack gives when the session's own account may serve it again, if a deadline is all that keeps it from that.
func (r *run) homeBack() (time.Time, bool) {
	home := &r.decision.Session
	account, known := r.world.set.Lookup(home.Account)
	if !known || home.Fate != BindingKept || home.Until.IsZero() {
		return time.Time{}, false
	}
	fitness := r.judge.session
	fitness.HalfOpen = false // it comes back with a probe
	return decide.NextEligible(account, r.s.colds.of(account.Ordinal), &fitness, r.started)
}

func (r *run) planFallback(loads []decide.Load) { r.planOn(r.drawn[0].Row, loads) }

// planOn plans a wait for an account of the group.
func (r *run) planOn(row int32, loads []decide.Load) {
	r.plan(r.view.Account(int(row)), r.world.policy.FallbackWait, int(loads[row].Waiting))
	r.answer.WaitPlan.Probing = loads[row].Probing && r.workspace.NeedsProbe(row)
}

// wouldTake gives a lease in name only on whom a real Select would take, or plans a wait.
func (r *run) wouldTake() *Lease {
	if r.order(r.loads, false, 1); len(r.first.Order) == 0 {
		r.planFallback(r.loads)
		return nil
	}
	r.served()
	return &Lease{Account: r.view.Account(int(r.rows[0])).ID}
}

// planBound plans a wait for an account that a binding names, which is full or whose probe is out.
func (r *run) planBound(bound *StickyVerdict, wait decide.Wait) {
	account, waiting := r.world.account(bound.Account), 0
	if row := slices.Index(r.view.Ordinals(), int32(account.Ordinal)); row >= 0 {
		waiting = int(r.loads[row].Waiting)
	}
	r.plan(account, wait, waiting)
	r.answer.WaitPlan.Probing = bound.Reason == decide.Probing
}

// alternates names the next choices after the chosen account: the drawn order, then rank order.
// Of the drawn ones those that are full come too, after all with room: by the time they are asked, that has changed.
func (r *run) alternates(chosen string) []Alternate {
	r.rank()
	if r.workspace.CandidateCount() == 0 {
		return nil
	}
	out := make([]Alternate, 0, min(r.req.Alternates, r.workspace.CandidateCount()))
	add := func(row int32) {
		if a := r.view.Account(int(row)); a.ID != chosen && len(out) < r.req.Alternates {
			out = append(out, Alternate{Account: a, Upstream: r.view.Upstream(int(row))})
		}
	}
	for _, full := range [...]bool{false, true} {
		for i := range r.drawn {
			if row := r.drawn[i].Row; r.hasRoom(r.loads, row) != full {
				add(row)
			}
		}
		if !full {
			for _, c := range r.workspace.Rest(nil, r.req.Alternates+1) {
				add(c.Row)
			}
		}
	}
	return out
}

// planOwner plans a wait for the response's owner while its probe is out; else it says that the owner may not serve, and until when.
func (r *run) planOwner() {
	owner := &r.decision.Response
	if owner.Reason == decide.Probing {
		r.planBound(owner, r.world.policy.StickyWait)
		return
	}
	r.decision.PreviousHit = false
	r.answer.Refusal = &Refusal{Reason: RefusedOwnerUnavailable}
	if !owner.Until.IsZero() {
		r.answer.Refusal.backAt(owner.Until, r.started)
	}
}

// refuse says that nothing can serve now, why, and when that may change.
func (r *run) refuse(reason RefusalReason) { r.refusal(reason).count(&r.input) }

// refusal is refuse without what there is to count.
func (r *run) refusal(reason RefusalReason) *Refusal {
	f := &Refusal{Reason: reason}
	r.answer.Refusal = f
	if r.view.Members() == 0 {
		f.Reason = RefusedNoAccounts
		return f
	}
	r.input.View, r.input.Request, r.input.Policy, r.input.Now = r.view, &r.asked, r.world.policy, r.started
	if r.input.Loads = r.loads; !r.ranked {
		r.input.Colds = r.s.colds.gather(r.view.Ordinals(), &r.colds)
	}
	if reason == RefusedTenantLimit {
		f.Limit, f.RetryAfter = r.world.policy.Tenant(r.req.Tenant).MaxLeases, fullRetry
	}
	return f
}

// count says whom what excludes, and when the first comes back. Where the tenant is full or others are, that is no hint when to
// ask again.
func (f *Refusal) count(in *decide.Input) {
	if f.Reason == RefusedNoAccounts {
		return
	}
	counts, next := decide.CountReasons(in)
	f.Exclusions = mostFirst(&counts)
	switch {
	case next == nil, f.Reason == RefusedTenantLimit:
	case f.Reason == RefusedNoneEligible:
		f.backAt(*next, in.Now)
	default:
		f.NextEligibleAt = *next
	}
}

// backAt says when an account may serve again, where none comes back before.
func (f *Refusal) backAt(at, now time.Time) {
	if f.NextEligibleAt.IsZero() || at.Before(f.NextEligibleAt) {
		f.NextEligibleAt, f.RetryAfter = at, max(at.Sub(now), time.Millisecond)
	}
}
