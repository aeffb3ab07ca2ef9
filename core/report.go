package core

import (
	"context"
	"strings"
	"time"

	"usher.internal/core/decide"
)

// Report applies events in order, in one call to the store; one result each.
// Idempotent: each kind of event counts once per lease. It is taken after Close too.
// Errors: KindStoreUnavailable, ctx's own; then nothing is known of any event, and all can be sent again.
func (s *Scheduler) Report(ctx context.Context, events []Event) ([]EventResult, error) {
	b := s.batches.Get().(*batch)
	defer b.free(s)
	world, now := s.registry.current.Load(), s.clock.Now()
	for i := range events {
		b.add(s, &events[i], world, now)
	}
	settled := room(b.settled, len(b.settlements))
	clear(settled)
	b.settled = settled
	results := make([]EventResult, len(events))
	err := s.settle(ctx, b.settlements, settled, b.tenants, func() { s.learnAll(events, results, b, world.policy, now) })
	if err != nil {
		return nil, err
	}
	for i := range b.ended {
		if err := s.store.Warm(ctx, b.ended[i]); err != nil {
			break // the deadline is heard again from the store, and ended by a later success
		}
	}
	return results, nil
}

// learnAll fills the results of events that were settled, and takes in what counts.
func (s *Scheduler) learnAll(events []Event, results []EventResult, b *batch, p *decide.Policy, now time.Time) {
	next := 0
	for i := range events {
		outcome := events[i].Outcome
		if !b.valid[i] {
			results[i] = EventResult{Status: EventTokenInvalid}
		} else {
			outcome = b.lessons[next].outcome
			results[i] = s.learn(&events[i], b, next, p, now)
			next++
		}
		s.observer.Reported(events[i].Kind, outcome, results[i].Status)
	}
}

// settle settles, learns, and hands on what was freed, in that order: whoever waits must see the cooldown that came with
// the slot. tenants are those of the events.
func (s *Scheduler) settle(ctx context.Context, events []Settlement, results []Settled, tenants []string, learn func()) error {
	return s.line.step(func() error {
		if len(events) > 0 {
			if err := s.store.Settle(ctx, events, results); err != nil {
				return err
			}
		}
		learn()
		return nil
	}, func() changes { return settledChanges(events, results, tenants) })
}

// Withdraw takes back one handing out of a lease by a Select whose answer nobody heard. A lease that
// another call was answered with too, by its request id, lives on; else it ends, and the id may take anew.
// Errors: KindStoreUnavailable, ctx's own.
func (s *Scheduler) Withdraw(ctx context.Context, token string) error {
	t, ok := s.mint.open(token)
	if !ok {
		return nil
	}
	return s.takeBack(ctx, &Lease{ID: t.ID, Account: t.Account, Tenant: t.Tenant, GrantedAt: t.GrantedAt})
}

func (s *Scheduler) takeBack(ctx context.Context, l *Lease) error {
	var results [1]Settled
	back := [1]Settlement{{Kind: SettleWithdrawn, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}}
	return s.settle(ctx, back[:], results[:], []string{l.Tenant}, func() {})
}

// batch is the memory of one Report, used again.
type batch struct {
	// settlements, settled, tenants and lessons are aligned: one of each for every valid event.
	settlements []Settlement
	tenants     []string
	settled     []Settled
	lessons     []lesson
	valid       []bool
	// ended are the deadlines of which the probation is over by these events.
	ended []Cooldown
}

func (b *batch) free(s *Scheduler) {
	clear(b.settlements)
	clear(b.lessons)
	clear(b.tenants)
	clear(b.ended)
	b.ended = b.ended[:0]
	b.settlements, b.tenants, b.lessons, b.valid = b.settlements[:0], b.tenants[:0], b.lessons[:0], b.valid[:0]
	s.batches.Put(b)
}

// add turns an event into what the store is to do about it.
func (b *batch) add(s *Scheduler, e *Event, w *world, now time.Time) {
	l := lesson{outcome: e.Outcome}
	settlement := Settlement{Kind: settleKind(e.Kind)}
	valid, tenant := true, e.Request.Tenant
	if e.Token == "" {
		settlement.Request = requestKey(e.Request.Tenant, e.Request.OwnerName, e.Request.RequestID)
	} else {
		var t ticket
		if t, valid = s.mint.open(e.Token); valid {
			settlement.Lease, settlement.Account, settlement.GrantedAt, tenant = t.ID, t.Account, t.GrantedAt, t.Tenant
			settlement.Sample = e.TTFT > 0
			settlement.Bind = bindingKey(keyResponse, t.Tenant, t.Group, strings.TrimSpace(e.ResponseID))
			settlement.BindTTL, _ = w.ttls()
			if l = s.lesson(e, &t, w, now); l.cool.Account != "" {
				settlement.Cool = l.cool
			}
		}
	}
	b.valid = append(b.valid, valid)
	if valid {
		b.settlements, b.tenants, b.lessons = append(b.settlements, settlement), append(b.tenants, tenant), append(b.lessons, l)
	}
}

func settleKind(k EventKind) SettleKind {
	switch k {
	case EventFirstToken:
		return SettleFirstToken
	case EventFinished:
		return SettleFinished
	case EventSwitched:
		return SettleSwitched
	case EventUnused:
	}
	return SettleUnused
}

// learn takes in what the batch's event number n teaches, if it counts.
func (s *Scheduler) learn(e *Event, b *batch, n int, p *decide.Policy, now time.Time) EventResult {
	settled, l := &b.settled[n], &b.lessons[n]
	result := EventResult{Status: settled.Status, Account: settled.Account, Bound: settled.Bound}
	if result.Account == "" {
		result.Account = b.settlements[n].Account
	}
	if settled.Status != EventApplied && settled.Status != EventExpired {
		return result
	}
	sm := sample{model: l.model}
	switch e.Kind {
	case EventFinished:
		sm.outcome, sm.failed = l.outcome.Sampled()
		b.ended = s.cool(result.Account, l, p, now, b.ended)
	case EventSwitched:
		s.counters.switched()
	case EventFirstToken, EventUnused:
	}
	if settled.SampleCounts {
		sm.ttft = float64(e.TTFT) / float64(time.Millisecond)
	}
	if sm.outcome || sm.ttft > 0 {
		s.stats.observe(s.registry.ordinal(result.Account), sm, p, now)
		s.learned.Add(1)
	}
	return result
}

// cool takes in what an end that counted says about when its account may serve again. It adds to ended the deadlines that the store
// keeps for a probation which is over now.
func (s *Scheduler) cool(account string, l *lesson, p *decide.Policy, now time.Time, ended []Cooldown) []Cooldown {
	switch {
	case l.outcome == OutcomeSuccess && s.colds.any():
		ordinal := s.registry.ordinal(account)
		before := s.colds.of(int(ordinal))
		s.colds.succeeded(ordinal, l.model, now)
		after := s.colds.of(int(ordinal))
		if after == before {
			break
		}
		if p.HalfOpen {
			ended = appendEnded(ended, before, after, account, l.model)
		}
		s.line.taught(ordinal)
		s.accountsChanged([]string{account})
	case l.cool.Account != "":
		ordinal := s.registry.ordinal(account)
		s.colds.set(ordinal, &l.cool)
		if l.overload {
			s.colds.overloaded(ordinal, l.granted, now)
		}
		s.line.taught(ordinal)
		s.accountsChanged([]string{account})
	}
	return ended
}

// appendEnded adds the deadlines of the account, and of the model on it, that were before and are no more.
func appendEnded(ended []Cooldown, before, after *decide.Cold, account, model string) []Cooldown {
	if until := before.Account().Until; !until.IsZero() && after.Account().Until.IsZero() {
		ended = append(ended, Cooldown{Account: account, Until: until})
	}
	if until := before.Model(model).Until; !until.IsZero() && after.Model(model).Until.IsZero() {
		ended = append(ended, Cooldown{Account: account, Model: model, Until: until})
	}
	return ended
}

// Renew gives leases a whole new lifetime from now; ttl 0 is the scheduler's. One result each. Idempotent.
// Errors: KindStoreUnavailable, ctx's own.
func (s *Scheduler) Renew(ctx context.Context, tokens []string, ttl time.Duration) ([]RenewResult, error) {
	if ttl <= 0 {
		ttl = s.leaseTTL
	}
	results := make([]RenewResult, len(tokens))
	renewals := make([]Renewal, 0, len(tokens))
	places := make([]int, 0, len(tokens))
	for i, token := range tokens {
		t, ok := s.mint.open(token)
		if !ok {
			results[i].Status = EventTokenInvalid
			continue
		}
		renewals = append(renewals, Renewal{Lease: t.ID, GrantedAt: t.GrantedAt, TTL: ttl, MaxAge: s.maxAge})
		places = append(places, i)
	}
	renewed := make([]Renewed, len(renewals))
	if len(renewals) > 0 {
		if err := s.store.Renew(ctx, renewals, renewed); err != nil {
			return nil, err
		}
		s.noteEnds(renewed)
	}
	for n, i := range places {
		results[i] = RenewResult{Status: renewed[n].Status, ExpiresAt: renewed[n].ExpiresAt}
	}
	return results, nil
}
