package core

import (
	"context"
	"errors"
	"strings"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// run is the life of one Select, in memory that is used again.
type run struct {
	s     *Scheduler
	world *world
	view  *pool.View
	req   *Request
	// asked is the request as the decision sees it.
	asked decide.Request
	// began is when the Select came, started when the attempt that counts did.
	began, started time.Time
	line           LinePlace
	// inLine says that it stands in line.
	inLine bool
	// capped says that the tenant held as many slots as it may when the wait was over.
	capped bool

	judge     judge
	bound     BoundTake
	first     FirstTake
	loads     []decide.Load
	later     []decide.Load
	stats     []decide.Stat
	colds     []*decide.Cold
	workspace decide.Workspace
	input     decide.Input
	ranked    bool
	// home says that first.Order is the session's own account alone, which the session leaves only where others can serve.
	home bool
	// rows are those of first.Order; kept those that were found to be another replica's turn.
	rows  []int32
	kept  []int32
	seed  uint64
	drawn []decide.Candidate

	decision Decision
	lease    Lease
	answer   *Answer
}

// Select asks which account takes a request, and holds one of its slots as a lease.
// It blocks for as long as the store does. With a request id it is idempotent while the
// lease lives. When ctx ends before it returns, what it took is given back and the error is ctx's.
// Errors: KindClosed, KindRequestReleased, KindStoreUnavailable, ctx's own.
func (s *Scheduler) Select(ctx context.Context, req *Request) (*Answer, error) {
	if s.closed.Load() {
		return nil, &Error{Kind: KindClosed, Text: "the scheduler is closed"}
	}
	var reported []EventResult
	if len(req.Reports) > 0 {
		var err error
		if reported, err = s.Report(ctx, req.Reports); err != nil {
			return nil, err
		}
	}
	r := s.runs.Get().(*run)
	defer r.free()
	r.begin(s, req)
	answer, err := r.do(ctx)
	if answer != nil {
		answer.Reports = reported
	}
	return answer, err
}

func (r *run) begin(s *Scheduler, req *Request) {
	r.s, r.req, r.began, r.line, r.capped = s, req, s.clock.Now(), LinePlace{}, false
	r.inLine = false
	r.asked = decide.Request{
		Group: req.Group, SessionHash: strings.TrimSpace(req.SessionHash), ResponseID: strings.TrimSpace(req.PreviousResponseID),
		Model: req.Model, Transport: req.Transport, Provider: req.Provider, Excluded: req.Excluded,
	}
	r.look(r.began)
	r.decision.ID = s.names.nextDecision()
	r.answer = &Answer{}
}

// look makes the run ready to decide over the pool as it is now.
func (r *run) look(now time.Time) {
	r.started = now
	r.world = r.s.registry.current.Load()
	r.view = r.world.view(r.asked.Query())
	n := r.view.Len()
	r.loads, r.later, r.stats = room(r.loads, n), room(r.later, n), room(r.stats, n)
	r.judge.reset(r)
	r.ranked, r.seed, r.drawn, r.kept = false, 0, nil, r.kept[:0]
	r.decision = Decision{Profile: r.world.policy.Profile, DryRun: r.req.DryRun}
}

// free gives the memory back without what it refers to.
func (r *run) free() {
	r.workspace.Reset()
	clear(r.colds)
	r.req, r.world, r.view, r.answer, r.drawn = nil, nil, nil, nil, nil
	r.asked, r.input, r.bound, r.judge = decide.Request{}, decide.Input{}, BoundTake{}, judge{group: r.judge.group}
	r.lease = Lease{}
	r.first = FirstTake{Order: r.first.Order[:0]}
	r.s.runs.Put(r)
}

// do decides, and gives back what was taken if nobody will hear of it.
func (r *run) do(ctx context.Context) (*Answer, error) {
	lease, w, err := r.attempt(ctx)
	if w != nil {
		lease, err = r.wait(ctx, w)
	}
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
		if lease != nil {
			r.withdraw(ctx, lease)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = &Error{Kind: KindStoreUnavailable, Text: "the store took longer than a Select may spend on it", Err: err}
	}
	r.decision.Latency = r.s.clock.Now().Sub(r.began) - r.line.Time
	r.decision.Degraded = r.s.degraded()
	if err != nil {
		// Nobody was answered: an error is load balancing's, whoever took.
		r.hit(decide.LayerLoadBalance)
		r.record(OutcomeFailed)
		return nil, err
	}
	if lease != nil {
		r.grant(lease)
	}
	r.answer.Decision = r.decision
	switch {
	case r.answer.Selection != nil:
		r.record(OutcomeSelected)
	case r.answer.WaitPlan != nil:
		r.record(OutcomePlanned)
	default:
		r.record(OutcomeRefused)
	}
	if r.req.Explain {
		r.answer.Decision.Verdicts = r.verdicts()
	}
	return r.answer, nil
}

// verdicts explains the answer's decision; a repeat's is the first one's, where it is still kept.
func (r *run) verdicts() []decide.Verdict {
	switch {
	case r.decision.Repeated:
		if x, err := r.s.history.explain(r.decision.ID); err == nil {
			return x.Record.Decision.Verdicts
		}
	case r.balanced():
		return decide.Explain(&r.input, r.drawn)
	}
	return nil
}

// layers asks the sticky layers, then load balancing. The lease is what was taken or found, if anything was.
func (r *run) layers(ctx context.Context) (*Lease, error) {
	r.bound = BoundTake{
		Grant:    r.grantFor(ctx),
		Response: bindingKey(keyResponse, r.req.Tenant, r.req.Group, r.asked.ResponseID),
		Session:  bindingKey(keySession, r.req.Tenant, r.req.Group, r.asked.SessionHash),
		Judge:    &r.judge,
		Ordinals: r.view.Ordinals(), Loads: r.loads,
		AlwaysLoads:  r.req.Alternates > 0,
		DryRun:       r.req.DryRun,
		SpillSession: r.world.policy.SessionSpill, ResponseAlone: r.world.policy.ResponseRequireOwner,
	}
	r.bound.ResponseTTL, r.bound.SessionTTL = r.world.ttls()
	taken, err := r.s.store.TakeBound(ctx, &r.bound)
	if err != nil {
		return nil, err
	}
	took := taken.Status == BoundTook
	r.decision.Response = r.judge.verdict(decide.LayerResponse, &taken.Response, took && taken.Layer == decide.LayerResponse)
	r.decision.Session = r.judge.verdict(decide.LayerSession, &taken.Session, took && taken.Layer == decide.LayerSession)
	switch taken.Status {
	case BoundTook:
		r.hit(taken.Layer)
		return r.leased(&taken.Lease), nil
	case BoundFull:
		r.hit(taken.Layer)
		r.plan(r.world.account(taken.Lease.Account), r.world.policy.StickyWait, taken.Waiting)
		return nil, nil
	case BoundRepeated:
		r.repeat(&taken.Lease)
		return r.leased(&taken.Lease), nil
	case BoundReleased:
		return nil, errRequestReleased
	case BoundTenantFull:
		r.refuse(RefusedTenantLimit)
		return nil, nil
	case BoundNone:
	}
	if r.bound.ResponseAlone && taken.Response.Account != "" {
		r.hit(decide.LayerResponse)
		r.planOwner()
		return nil, nil
	}
	return r.balance(ctx)
}

// leased keeps a lease for the rest of the run.
func (r *run) leased(lease *Lease) *Lease {
	r.lease = *lease
	if !r.req.DryRun {
		r.s.line.noteEnd(lease.ExpiresAt)
	}
	return &r.lease
}

var errRequestReleased = &Error{Kind: KindRequestReleased, Text: "the request id was released before"}

func (r *run) grantFor(ctx context.Context) Grant {
	g := Grant{
		ID: r.s.names.nextLease(), Owner: r.req.Owner,
		Tenant: r.req.Tenant, Group: r.req.Group, Model: r.req.Model,
		Decision: r.decision.ID,
		Request:  requestKey(r.req.Tenant, r.req.Owner.Name, r.req.RequestID),
		TTL:      r.req.LeaseTTL, TenantCap: r.world.policy.Tenant(r.req.Tenant).MaxLeases,
	}
	if g.TTL <= 0 {
		g.TTL = r.s.leaseTTL
	}
	if r.s.maxAge > 0 {
		g.TTL = min(g.TTL, r.s.maxAge)
	}
	g.InLine = r.inLine
	if deadline, ok := ctx.Deadline(); ok {
		g.NotAfter = deadline
	}
	if r.s.budget > 0 {
		if bound := r.s.clock.Now().Add(r.s.budget); g.NotAfter.IsZero() || bound.Before(g.NotAfter) {
			g.NotAfter, g.Budgeted = bound, true
		}
	}
	return g
}

// hit marks a sticky layer as the one that answered.
func (r *run) hit(layer decide.Layer) {
	r.decision.Layer = layer
	r.decision.PreviousHit = layer == decide.LayerResponse
	r.decision.SessionHit = layer == decide.LayerSession
}

// repeat takes over the figures of the decision that granted the lease, where they are still kept.
func (r *run) repeat(lease *Lease) {
	latency := r.decision.Latency
	r.decision = Decision{ID: lease.Decision, Profile: r.decision.Profile}
	if e, _, _, ok := r.s.history.find(lease.Decision); ok {
		r.decision = e.record.Decision
	}
	r.decision.Latency, r.decision.Repeated, r.decision.DryRun = latency, true, r.req.DryRun
}

// withdraw takes the handing out back, although ctx is over: the store bounds the call itself.
func (r *run) withdraw(ctx context.Context, lease *Lease) {
	if r.req.DryRun {
		return
	}
	if err := r.s.takeBack(context.WithoutCancel(ctx), lease); err != nil {
		r.s.logger.Warn("a lease of a cancelled select could not be given back; it ends by its lifetime", "account", lease.Account, "error", err)
	}
}

// grant turns a lease into the answer.
func (r *run) grant(lease *Lease) {
	account := r.world.account(lease.Account)
	model := r.req.Model
	if r.decision.Repeated {
		model = lease.Model
	}
	upstream, _ := account.Models.Map(model)
	sel := &r.answer.selected
	sel.Account, sel.Upstream, sel.Line = account, upstream, r.line
	r.answer.Selection = sel
	if !r.req.DryRun {
		sel.ExpiresAt, sel.TTL = lease.ExpiresAt, lease.ExpiresAt.Sub(lease.GrantedAt)
		sel.Token = r.s.token(lease)
	}
	if r.req.Alternates > 0 && !r.decision.Repeated {
		sel.Alternates = r.alternates(lease.Account)
	}
}

func (r *run) plan(account *pool.Account, wait decide.Wait, waiting int) {
	r.answer.WaitPlan = &WaitPlan{Account: account, Timeout: wait.Timeout, MaxWaiting: wait.MaxWaiting, Waiting: waiting}
}

// ttls gives the lives of response and session bindings.
func (w *world) ttls() (response, session time.Duration) {
	response, session = w.policy.ResponseTTL, w.policy.SessionTTL
	if response <= 0 {
		response = decide.DefaultTTL
	}
	if session <= 0 {
		session = decide.DefaultTTL
	}
	return response, session
}

// account gives a known account, or one that has nothing but its id: a lease can outlive its account.
func (w *world) account(id string) *pool.Account {
	if a, ok := w.set.Lookup(id); ok {
		return a
	}
	return &pool.Account{ID: id, State: pool.Disabled}
}

// room gives a slice of length n, over s's memory if that holds it.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
