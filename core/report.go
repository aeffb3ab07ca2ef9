package core

import (
	"context"
	"strings"
	"time"

	"usher.internal/core/decide"
)

// Report applies events in order, in one call to the store; one result each.
// Idempotent means: each kind of event counts once per lease. It is taken after Close too.
// Errors means: KindStoreUnavailable, ctx's own; then nothing is known of any event, and all can be sent again.
func (s *Scheduler) Report(ctx context.Context, events []Event) ([]EventResult, error) {
	b := s.batches.Get().(*batch)
	defer b.free(s)
	policy := s.registry.current.Load().policy
	for i := range events {
		b.add(s, &events[i], policy)
	}
	settled := room(b.settled, len(b.settlements))
	clear(settled)
	b.settled = settled
	if len(settled) > 0 {
		if err := s.store.Settle(ctx, b.settlements, settled); err != nil {
			return nil, err
		}
	}
	results := make([]EventResult, len(events))
	next := 0
	for i := range events {
		if !b.valid[i] {
			results[i] = EventResult{Status: EventTokenInvalid}
		} else {
			results[i] = s.learn(&events[i], &b.settlements[next], &settled[next], policy)
			next++
		}
		s.observer.Reported(events[i].Kind, events[i].Outcome, results[i].Status)
	}
	return results, nil
}

// batch is the memory of one Report, used again.
type batch struct {
	settlements []Settlement
	settled     []Settled
	valid       []bool
}

func (b *batch) free(s *Scheduler) {
	clear(b.settlements)
	b.settlements, b.valid = b.settlements[:0], b.valid[:0]
	s.batches.Put(b)
}

// add turns an event into what the store is to do about it.
func (b *batch) add(s *Scheduler, e *Event, policy *decide.Policy) {
	settlement := Settlement{Kind: settleKind(e.Kind)}
	valid := true
	if e.Token == "" {
		settlement.Request = requestKey(e.Request.Tenant, e.Request.OwnerName, e.Request.RequestID)
	} else {
		var t ticket
		if t, valid = s.mint.open(e.Token); valid {
			settlement.Lease, settlement.Account, settlement.GrantedAt = t.ID, t.Account, t.GrantedAt
			settlement.Sample = e.TTFT > 0
			settlement.Bind = bindingKey(keyResponse, t.Tenant, t.Group, strings.TrimSpace(e.ResponseID))
			if settlement.BindTTL = policy.ResponseTTL; settlement.BindTTL <= 0 {
				settlement.BindTTL = decide.DefaultTTL
			}
		}
	}
	b.valid = append(b.valid, valid)
	if valid {
		b.settlements = append(b.settlements, settlement)
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

// learn takes in what an event that counts teaches.
func (s *Scheduler) learn(e *Event, asked *Settlement, settled *Settled, policy *decide.Policy) EventResult {
	result := EventResult{Status: settled.Status, Account: settled.Account, Bound: settled.Bound}
	if result.Account == "" {
		result.Account = asked.Account
	}
	if settled.Status != EventApplied && settled.Status != EventExpired {
		return result
	}
	var sm sample
	switch e.Kind {
	case EventFinished:
		sm = sampleOf(e.Outcome)
	case EventSwitched:
		s.counters.switched()
	case EventFirstToken, EventUnused:
	}
	if settled.SampleCounts {
		sm.ttft = float64(e.TTFT) / float64(time.Millisecond)
	}
	if sm.outcome || sm.ttft > 0 {
		s.stats.observe(s.registry.ordinal(result.Account), sm, policy.Alpha)
		s.learned.Add(1)
	}
	return result
}

// Renew gives leases a whole new lifetime from now; ttl 0 is the scheduler's. One result each. Idempotent.
// Errors means: KindStoreUnavailable, ctx's own.
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
	}
	for n, i := range places {
		results[i] = RenewResult{Status: renewed[n].Status, ExpiresAt: renewed[n].ExpiresAt}
	}
	return results, nil
}
