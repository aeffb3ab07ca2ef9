package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/internal/model"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

const (
	// lag is how long what ends by itself may take to be noticed by who waits for it.
	lag = 3 * time.Millisecond
	// lateMost is how long the end of a lease's life may take to be noticed by anybody: until the next sweep.
	lateMost = core.DefaultSweepEvery + lag
)

// play does everything to the scheduler and to the model, and compares.
type play struct {
	*core.Scheduler
	m      *model.Model
	seen   *witness
	policy decide.Policy
	began  time.Time
	steps  int
	asked  []*asked // all Selects
	byID   map[core.DecisionID]*asked
	lined  map[core.WaiterID]*asked
	owners map[model.Owner]*core.Attachment
	story  strings.Builder
}

// asked is one Select.
type asked struct {
	number int
	req    model.Request
	judged model.Verdict // when it came
	cancel context.CancelFunc
	done   chan struct{} // closed once what follows is set

	answer *core.Answer
	err    error
	at     time.Time

	answered bool // and compared
	waiter   *model.Waiter
	since    time.Duration
	lease    *model.Lease // the one that was taken for it
	full     string       // the account on which it was one more than may wait
	tenant   bool         // or there were too many of its tenant
}

// script is one run.
type script struct {
	rules    model.Rules
	accounts []model.Account
	steps    []step
}

// perform runs a script on the scheduler over a memory store that wrap changes. The error tells the whole story of a difference.
func perform(t *testing.T, s script, wrap func(core.Store) core.Store) (err error) {
	synctest.Test(t, func(t *testing.T) {
		store, fault := memstore.New(memstore.Options{Secret: make([]byte, 32), MarkTTL: 100 * time.Hour})
		if fault != nil {
			t.Fatal(fault)
		}
		p := &play{
			m: model.New(s.rules, s.accounts), seen: &witness{Store: wrap(store)}, began: time.Now(), policy: policyOf(&s.rules),
			byID: map[core.DecisionID]*asked{}, lined: map[core.WaiterID]*asked{}, owners: map[model.Owner]*core.Attachment{},
		}
		p.Scheduler, fault = core.New(t.Context(), core.Options{
			Store: p.seen, Entropy: seeded(1), HistoryBytes: 1 << 16, MaxLeaseAge: s.rules.MaxAge,
		})
		if fault != nil {
			t.Fatal(fault)
		}
		if err = p.run(s); err != nil {
			err = fmt.Errorf("%+v, accounts %+v\n%s%w", s.rules, s.accounts, p.story.String(), err)
		}
		for _, a := range p.asked {
			a.cancel()
		}
		if fault := p.Close(context.Background()); fault != nil {
			t.Error(fault)
		}
		for _, a := range p.asked {
			<-a.done
		}
		if fault := store.Close(); fault != nil {
			t.Error(fault)
		}
	})
	return err
}

func policyOf(rules *model.Rules) decide.Policy {
	p := decide.Reference()
	p.FallbackWait = decide.Wait{Timeout: rules.FallbackWait, MaxWaiting: rules.FallbackMost}
	p.StickyWait = decide.Wait{Timeout: rules.StickyWait, MaxWaiting: rules.StickyMost}
	p.Tenants.Default = decide.TenantLimit{MaxLeases: rules.TenantLeases, MaxWaiting: rules.TenantWaits}
	p.MaxCooldown, p.Overloaded = rules.MaxCooldown, decide.Backoff{Base: rules.Backoff, Cap: rules.Backoff}
	p.SessionSpill, p.SessionTTL = rules.Spill, 100*time.Hour
	return p
}

func (p *play) run(s script) error {
	if err := p.apply(); err != nil {
		return err
	}
	for _, step := range s.steps {
		p.steps = step.number
		if err := p.pass(time.Millisecond); err != nil {
			return err
		}
		if err := p.do(step); err != nil {
			return err
		}
		if err := p.compare(); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) tell(format string, args ...any) {
	fmt.Fprintf(&p.story, "%10.4fs  %s\n", p.m.Now.Seconds(), fmt.Sprintf(format, args...))
}

func (p *play) now() time.Duration { return time.Since(p.began) }

// apply puts the model's accounts into force.
func (p *play) apply() error {
	var accounts []pool.Account
	for _, a := range p.m.Accounts {
		state := map[model.State]pool.State{
			model.Active: pool.Active, model.Draining: pool.Draining, model.Paused: pool.Paused, model.Disabled: pool.Disabled,
		}[a.State]
		models := map[string]string{}
		for _, name := range a.Models {
			models[name] = name
		}
		accounts = append(accounts, pool.Account{
			ID: a.ID, MaxConcurrency: a.Limit, Groups: a.Groups, State: state, Models: pool.NewModels(models),
		})
	}
	return p.Apply(context.Background(), accounts, p.policy)
}

// pass lets time pass, from one deadline to the next, and compares after each.
func (p *play) pass(d time.Duration) error {
	to := p.now() + d
	for {
		at := p.m.NextDeadline(p.m.Now)
		if at == 0 || at > to {
			break
		}
		// What is over before the last is noticed counts with it.
		until := at + lag
		for ; at != 0 && at <= until; at = p.m.NextDeadline(at) {
			until = at + lag
		}
		pass(until - p.now())
		if err := p.compare(); err != nil {
			return err
		}
	}
	if left := to - p.now(); left > 0 {
		pass(left)
	}
	p.m.Advance(p.now())
	return nil
}

// compare takes in what happened since it was called last, and compares what there is to see then.
func (p *play) compare() error {
	synctest.Wait()
	for _, s := range p.seen.take() {
		if err := p.answersBefore(s.at); err != nil {
			return err
		}
		p.m.Advance(s.at.Sub(p.began))
		if err := p.saw(s); err != nil {
			return err
		}
	}
	if err := p.answersBefore(time.Now().Add(1)); err != nil {
		return err
	}
	p.m.Advance(p.now())
	if err := p.m.Quiet(); err != nil {
		return err
	}
	for _, a := range p.asked {
		if waits := a.waiter != nil && !a.answered; !a.answered && !waits {
			return fmt.Errorf("#%d neither was answered nor stands in line, and should be: %v", a.number, a.judged)
		}
	}
	if err := p.hear(); err != nil {
		return err
	}
	return p.counts()
}

// saw takes in what the store did.
func (p *play) saw(s sight) error {
	a := p.byID[s.decision]
	if a == nil {
		a = p.lined[s.waiter]
	}
	if a == nil { // only the last Select is not known yet
		a = p.asked[len(p.asked)-1]
	}
	var err error
	switch s.kind {
	case sawAsked:
		p.byID[s.decision] = a
	case sawDropped:
		err = p.m.Dropped(&a.req)
	case sawTaken:
		a.lease, err = p.m.Granted(&a.req, a.waiter, s.account)
	case sawJoined:
		p.lined[s.waiter] = a
		a.since = p.m.Now
		p.tell("    #%d stands in line on %s", a.number, s.account)
		a.waiter, err = p.m.Join(&a.req, s.account)
	case sawLineFull, sawTenantFull:
		a.full, a.tenant = s.account, s.kind == sawTenantFull
		err = p.m.Refused(&a.req, a.full, a.tenant)
	case sawMoved:
		p.tell("    #%d moves to %s", a.number, s.account)
		err = p.m.Move(a.waiter, s.account)
	}
	if err != nil {
		return fmt.Errorf("#%d %w", a.number, err)
	}
	return nil
}

// answersBefore compares the answers that came before a time; first of those who took, since others are given the same lease.
func (p *play) answersBefore(t time.Time) error {
	for _, took := range [...]bool{true, false} {
		for _, a := range p.asked {
			select {
			case <-a.done:
			default:
				continue
			}
			if a.answered || !a.at.Before(t) || (a.lease != nil) != took {
				continue
			}
			p.m.Advance(a.at.Sub(p.began))
			a.answered = true
			if err := p.answered(a); err != nil {
				return fmt.Errorf("#%d %w", a.number, err)
			}
		}
	}
	return nil
}

// hear compares what owners with a stream are told.
func (p *play) hear() error {
	for _, o := range modelOwners {
		if p.owners[o] == nil {
			continue
		}
		events, err := p.owners[o].Take()
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Kind != core.OwnerLeaseLost {
				continue
			}
			if err := p.m.Told(o, p.leaseOf(e.Token), modelEnds[e.End]); err != nil {
				return err
			}
		}
	}
	return p.m.Owed(lateMost)
}

func (p *play) leaseOf(token string) *model.Lease {
	for _, l := range p.m.Leases {
		if l.Token == token {
			return l
		}
	}
	return &model.Lease{}
}

var modelEnds = map[core.LeaseEnd]model.End{
	core.LeaseEndExpired: model.Expired, core.LeaseEndOwnerSilent: model.OwnerSilent, core.LeaseEndForgotten: model.Forgotten,
	core.LeaseEndReplaced: model.Replaced, core.LeaseEndMaxAge: model.MaxAge,
}

// counts compares accounts.
func (p *play) counts() error {
	snap, err := p.Snapshot(context.Background())
	if err != nil {
		return err
	}
	leases := 0
	for i := range snap.Accounts {
		a := &snap.Accounts[i]
		id := a.Account.ID
		inUse, waiting := p.m.InUse(id), p.m.Waiting(id)
		leases += inUse
		if int(a.Load.InUse) != inUse || int(a.Load.Waiting) != waiting {
			return fmt.Errorf("%s has %d in use and %d waiting, and should have %d and %d", id, a.Load.InUse, a.Load.Waiting, inUse, waiting)
		}
		until := time.Duration(0)
		if a.Blocked == decide.RateLimited || a.Blocked == decide.Overloaded || a.Blocked == decide.QuotaExhausted {
			until = a.BlockedUntil.Sub(p.began)
		}
		if want := p.m.CooledUntil(id, ""); until != want && a.Account.State == pool.Active {
			return fmt.Errorf("%s cools until %v, and should until %v", id, until, want)
		}
	}
	for _, e := range snap.LeaseEnds {
		by := model.LeaseEnd{Owner: e.Owner, Account: e.Account, How: modelEnds[e.End]}
		if least, most := p.m.Ends(by, p.m.Now-lateMost), p.m.Ends(by, p.m.Now); int(e.Total) < least || int(e.Total) > most {
			return fmt.Errorf("%d leases ended as %+v, should be from %d to %d", e.Total, by, least, most)
		}
	}
	if snap.Usage.Leases != leases || snap.Usage.Waiting != len(p.m.Line) {
		return fmt.Errorf("%d leases and %d waiting, should be %d and %d", snap.Usage.Leases, snap.Usage.Waiting, leases, len(p.m.Line))
	}
	return nil
}
