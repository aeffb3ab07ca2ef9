package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/internal/model"
)

// step is one thing to do: what, and numbers that say the rest, of which 0 is the plainest.
type step struct {
	number  int // in the script as it was drawn
	kind    int
	numbers []byte
}

const stepNumbers = 10

// pick gives the next number, below n.
func (s *step) pick(n int) int {
	if len(s.numbers) == 0 {
		return 0
	}
	number := int(s.numbers[0]) % n
	s.numbers = s.numbers[1:]
	return number
}

// choose gives one of them.
func choose[T any](s *step, of ...T) T { return of[s.pick(len(of))] }

// sometimes gives one of them or, half of the time, the zero value.
func sometimes[T any](s *step, of ...T) (chosen T) {
	if n := s.pick(2 * len(of)); n >= len(of) {
		return of[n-len(of)]
	}
	return chosen
}

var modelOwners = []model.Owner{{Name: "x", Incarnation: "1"}, {Name: "x", Incarnation: "2"}, {Name: "y", Incarnation: "1"}}

const stepKinds = 16

func (p *play) do(s step) error {
	switch s.kind % stepKinds {
	case 0, 1, 2, 3, 4:
		return p.selects(&s)
	case 5, 6, 7:
		return p.reports(&s)
	case 8, 9:
		return p.passes(&s)
	case 10:
		return p.renews(&s)
	case 11:
		return p.attaches(&s)
	case 12:
		return p.beats(&s)
	case 13:
		return p.changes(&s)
	case 14:
		return p.cancels(&s)
	default:
		return p.releases(&s)
	}
}

// odd gives a length of time that no other step gives.
func (p *play) odd(of time.Duration, kind int) time.Duration {
	return of + time.Duration(3*p.steps+kind)*time.Millisecond
}

func (p *play) selects(s *step) error {
	a := &asked{number: p.steps, done: make(chan struct{})}
	r := &a.req
	r.Wait = choose(s, 0, 5*time.Second, 20*time.Second, time.Minute)
	if r.Wait > 0 {
		r.Wait = p.odd(r.Wait, 1)
	}
	r.Tenant = choose(s, "t", "u", "v")
	r.Session = sometimes(s, "s1", "s2")
	r.Owner = sometimes(s, modelOwners...)
	r.ID = sometimes(s, "", "", "r1", "r2")
	r.Group = sometimes(s, "", "g", "none")
	if r.Group == "none" && s.pick(4) > 0 {
		r.Group = "g"
	}
	r.Model = sometimes(s, "m1", "m2")
	r.TTL = p.odd(choose(s, 15*time.Second, 4*time.Second, time.Minute), 0)
	r.Behind = choose(s, 1, 0, 2)
	if n := s.pick(2 * len(p.m.Accounts)); n >= len(p.m.Accounts) {
		r.Excluded = []string{p.m.Accounts[n-len(p.m.Accounts)].ID}
	}
	p.tell("#%d selects: %+v", a.number, *r)
	a.judged = p.m.Judge(r)
	p.asked = append(p.asked, a)
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	req := core.Request{
		Group: r.Group, Model: r.Model, SessionHash: r.Session, Tenant: r.Tenant, RequestID: r.ID, Excluded: r.Excluded,
		Owner: core.Owner(r.Owner), LeaseTTL: r.TTL, Wait: r.Wait, Priority: core.Priority(1 - r.Behind),
	}
	go func() {
		defer close(a.done)
		a.answer, a.err = p.Select(ctx, &req)
		a.at = time.Now()
	}()
	synctest.Wait()
	return nil
}

// passes lets time pass, in which owners with a stream may go on beating.
func (p *play) passes(s *step) error {
	d := p.odd(choose(s, time.Second, 3*time.Second, 8*time.Second, 12*time.Second), 0)
	beat := s.pick(3) > 0
	p.tell("%v pass, with heartbeats: %v", d, beat)
	const every = 3 * time.Second
	for ; beat && d > every; d -= every {
		for _, o := range modelOwners {
			if err := p.beat(o, p.leasesOf(o, false)); err != nil {
				return err
			}
			if err := p.pass(time.Millisecond); err != nil { // no two are silent at the same instant
				return err
			}
		}
		if err := p.pass(every); err != nil {
			return err
		}
	}
	return p.pass(d)
}

// leasesOf lists an owner's leases, with those that it lost and may not know of.
func (p *play) leasesOf(o model.Owner, lost bool) (list []*model.Lease) {
	for _, l := range p.m.Leases {
		if l.Owner == o && (l.End == 0 || lost && l.End != model.Released) {
			list = append(list, l)
		}
	}
	return list
}

func (p *play) beat(o model.Owner, listed []*model.Lease) error {
	if p.owners[o] == nil {
		return nil
	}
	p.m.Beat(o, listed)
	var tokens []string
	for _, l := range listed {
		tokens = append(tokens, l.Token)
	}
	return p.owners[o].Heartbeat(context.Background(), tokens)
}

func (p *play) beats(s *step) error {
	o := choose(s, modelOwners...)
	listed := p.leasesOf(o, s.pick(3) > 0)
	if n := len(listed); n > 0 && s.pick(2) > 0 {
		at := s.pick(n)
		listed = slices.Delete(listed, at, at+1)
	}
	p.tell("%v beats with %d leases", o, len(listed))
	return p.beat(o, listed)
}

func (p *play) attaches(s *step) error {
	o := choose(s, modelOwners...)
	if p.owners[o] != nil && s.pick(2) == 0 {
		p.tell("%v detaches", o)
		p.m.Detach(o)
		p.owners[o].Detach()
		delete(p.owners, o)
		return nil
	}
	replaces := s.pick(3) == 2
	p.tell("%v attaches, replacing what was: %v", o, replaces)
	old := p.owners[o]
	p.m.Attach(o, replaces)
	var err error
	p.owners[o], err = p.Attach(context.Background(), core.Owner(o), replaces)
	if old != nil && old.Err() == nil {
		return errors.New("two streams of one owner")
	}
	return err
}

// lease picks one that was granted, ended or not, the latest first.
func (p *play) lease(s *step) *model.Lease {
	n := len(p.m.Leases)
	if n == 0 {
		return nil
	}
	return p.m.Leases[n-1-s.pick(n)]
}

var modelStatuses = map[core.EventStatus]model.Status{
	core.EventApplied: model.Applied, core.EventAlreadyApplied: model.AlreadyApplied, core.EventAlreadyReleased: model.AlreadyReleased,
	core.EventExpired: model.HasExpired, core.EventReleaseRecorded: model.ReleaseRecorded,
}

func (p *play) report(e core.Event, want model.Status) error {
	results, err := p.Report(context.Background(), []core.Event{e})
	if err != nil {
		return err
	}
	if got := results[0].Status; modelStatuses[got] != want {
		return fmt.Errorf("has status %d, should be %d", got, want)
	}
	return nil
}

func (p *play) reports(s *step) error {
	l := p.lease(s)
	if l == nil {
		return nil
	}
	e := core.Event{Kind: core.EventFinished, Token: l.Token}
	kind := model.Finished
	switch s.pick(8) {
	case 5:
		e.Kind, kind = core.EventUnused, model.Unused
	case 6:
		e.Kind, kind = core.EventFirstToken, model.FirstToken
	case 7:
		e.Kind, kind = core.EventSwitched, model.Switched
	default:
		e.Outcome = choose(s, core.OutcomeSuccess, core.OutcomeRateLimited, core.OutcomeAccountError, core.OutcomeOverloaded,
			core.OutcomeQuotaExhausted, core.OutcomeCancelled)
	}
	scope := ""
	if e.Outcome == core.OutcomeRateLimited || e.Outcome == core.OutcomeQuotaExhausted {
		e.RetryAfter = choose(s, 10*time.Second, 0, 3*time.Second, time.Hour)
		if e.RetryAfter > 0 {
			e.RetryAfter = p.odd(e.RetryAfter, 2)
		}
		if e.Scope = choose(s, core.ScopeAccount, core.ScopeModel); e.Scope == core.ScopeModel {
			scope = l.Model
		}
	}
	p.tell("of the lease on %s, granted at %v: %v, %v for %v of %q", l.Account, l.Granted, e.Kind, e.Outcome, e.RetryAfter, scope)
	return p.report(e, p.m.Report(l, kind, func() {
		if e.Outcome == core.OutcomeRateLimited || e.Outcome == core.OutcomeQuotaExhausted || e.Outcome == core.OutcomeOverloaded {
			p.m.Cool(l.Account, scope, e.RetryAfter)
		}
	}))
}

func (p *play) releases(s *step) error {
	r := &model.Request{Tenant: choose(s, "t", "u", "v"), ID: choose(s, "r1", "r2"), Owner: sometimes(s, modelOwners...)}
	p.tell("%s of %s's %q is released", r.ID, r.Tenant, r.Owner.Name)
	return p.report(core.Event{
		Kind: core.EventUnused, Request: core.RequestRef{Tenant: r.Tenant, OwnerName: r.Owner.Name, RequestID: r.ID},
	}, p.m.ReleaseID(r))
}

func (p *play) renews(s *step) error {
	l := p.lease(s)
	if l == nil {
		return nil
	}
	ttl := p.odd(choose(s, 10*time.Second, time.Minute), 0)
	p.tell("the lease on %s, granted at %v, is renewed for %v", l.Account, l.Granted, ttl)
	want := p.m.Renew(l, ttl)
	results, err := p.Renew(context.Background(), []string{l.Token}, ttl)
	if err == nil && (modelStatuses[results[0].Status] != want || want == model.Applied && results[0].ExpiresAt.Sub(p.began) != l.Expires) {
		err = fmt.Errorf("renewed as %+v, should be %v until %v", results[0], want, l.Expires)
	}
	return err
}

func (p *play) changes(s *step) error {
	a := &p.m.Accounts[s.pick(len(p.m.Accounts))]
	if s.pick(2) == 0 {
		a.Limit = choose(s, 1, 2, 3)
	} else {
		a.State = choose(s, model.Active, model.Active, model.Paused, model.Disabled, model.Draining)
		if a.State == model.Draining && p.m.TenantLeases > 0 {
			// One who waited for its tenant does not know yet that its session's account is this one, and is not let to it.
			a.State = model.Paused
		}
	}
	p.tell("%s has limit %d, state %v now", a.ID, a.Limit, a.State)
	return p.apply()
}

func (p *play) cancels(s *step) error {
	var waiting []*asked
	for _, a := range p.asked {
		if !a.answered {
			waiting = append(waiting, a)
		}
	}
	if len(waiting) > 0 {
		a := waiting[s.pick(len(waiting))]
		p.tell("#%d is cancelled", a.number)
		a.cancel()
	}
	return nil
}
