package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

func named(id string) core.Request {
	req := mainRequest
	req.RequestID, req.Owner.Name, req.Tenant = id, "gateway-1", "acme"
	return req
}

func (r requestName) ref() core.RequestRef {
	return core.RequestRef{Tenant: r.Tenant, OwnerName: r.Owner.Name, RequestID: r.RequestID}
}

type requestName core.Request

// TestRepeatShowsTheFirstDecision: a repeat gives the same lease and decision, binds and counts nothing.
func TestRepeatShowsTheFirstDecision(t *testing.T) {
	h := newHouse(t, plain(3, 1))
	first := h.ask(named("r1"))
	totals, decisions := h.state().Totals, len(h.Decisions(core.DecisionFilter{}))
	h.clock.advance(time.Minute)
	again := named("r1")
	again.SessionHash = "conv"
	for range 3 {
		got := h.ask(again)
		if got.Selection.Token != first.Selection.Token || !got.Selection.ExpiresAt.Equal(first.Selection.ExpiresAt) {
			t.Fatalf("another lease: %+v, first %+v", got.Selection, first.Selection)
		}
		want := first.Decision
		want.Repeated, want.Latency = true, got.Decision.Latency
		if g, w := fmt.Sprintf("%+v", got.Decision), fmt.Sprintf("%+v", want); g != w {
			t.Fatalf("decision %s, first %s", g, w)
		}
	}
	h.inUse(1)
	if got := h.state().Totals; got != totals {
		t.Errorf("totals %+v, before %+v", got, totals)
	}
	if n := len(h.Decisions(core.DecisionFilter{})); n != decisions {
		t.Errorf("%d decisions, before %d", n, decisions)
	}
	if d := h.ask(inSession("conv")).Decision; d.Session.Fate != core.BindingNone {
		t.Errorf("a repeat bound a session: %+v", d.Session)
	}
}

// TestRepeatOutlivesItsDecision: the lease is found although its decision is not kept.
func TestRepeatOutlivesItsDecision(t *testing.T) {
	h := newHouse(t, plain(1, 0), with(func(o *core.Options) { o.HistoryBytes = -1 }))
	first := h.ask(named("r1"))
	again := h.ask(named("r1"))
	if again.Decision.ID != first.Decision.ID || !again.Decision.Repeated || again.Decision.Profile != "reference" {
		t.Errorf("decision %+v, first %+v", again.Decision, first.Decision)
	}
}

// TestRepeatSealsTheSameToken: a lease id is used for one token only, whatever the mapping became since.
func TestRepeatSealsTheSameToken(t *testing.T) {
	accounts := plain(1, 0)
	h := newHouse(t, accounts)
	first := h.take(named("r1"))
	accounts[0].Models = pool.NewModels(map[string]string{"gpt-5": "renamed"})
	h.apply(accounts...)
	if again := h.take(named("r1")); again.Token != first.Token {
		t.Error("two tokens for one lease")
	}
}

// TestRequestIDAtOnce: however many ask at once, one lease is taken.
func TestRequestIDAtOnce(t *testing.T) {
	h := newHouse(t, plain(8, 8))
	const callers = 64
	tokens := make([]string, callers)
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range callers {
		done.Go(func() {
			ready.Wait()
			req := named("r1")
			answer, err := h.Select(context.Background(), &req)
			if err != nil || answer.Selection == nil {
				t.Errorf("answer %+v, error %v", answer, err)
				return
			}
			tokens[i] = answer.Selection.Token
		})
	}
	ready.Done()
	done.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatal("more than one lease")
		}
	}
	h.inUse(1)
	if n := h.state().Totals.Selects; n != 1 {
		t.Errorf("%d selects counted", n)
	}
	h.release(tokens[0])
	h.inUse(0)
}

// TestRequestIDScopes: the id is the tenant's and the owner's; an incarnation is the same owner.
func TestRequestIDScopes(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	first := h.take(named("r1"))
	tenant, owner, incarnation, id := named("r1"), named("r1"), named("r1"), named("r1 ")
	tenant.Tenant, owner.Owner.Name, incarnation.Owner.Incarnation = "globex", "gateway-2", "2"
	for name, req := range map[string]core.Request{"tenant": tenant, "owner": owner, "id": id} {
		if answer := h.ask(req); answer.Decision.Repeated || answer.Selection.Token == first.Token {
			t.Errorf("another %s is the same request", name)
		}
	}
	if answer := h.ask(incarnation); !answer.Decision.Repeated {
		t.Error("another incarnation is another request")
	}
	h.inUse(4)
	h.reports(core.Event{Kind: core.EventUnused, Request: requestName(tenant).ref()}, core.EventApplied)
	h.reports(core.Event{Kind: core.EventFinished, Token: first.Token, Outcome: core.OutcomeSuccess}, core.EventApplied)
	h.inUse(2)
}

// TestRequestIDAfterRelease: a released id takes nothing while its mark lives.
func TestRequestIDAfterRelease(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	for name, release := range map[string]func(id, token string) core.Event{
		"finished": func(_, token string) core.Event {
			return core.Event{Kind: core.EventFinished, Token: token, Outcome: core.OutcomeSuccess}
		},
		"unused": func(_, token string) core.Event { return core.Event{Kind: core.EventUnused, Token: token} },
		"by id": func(id, _ string) core.Event {
			return core.Event{Kind: core.EventUnused, Request: requestName(named(id)).ref()}
		},
	} {
		token := h.take(named(name)).Token
		h.reports(release(name, token), core.EventApplied)
		req := named(name)
		for _, req.DryRun = range []bool{false, true} {
			_, err := h.Select(context.Background(), &req)
			isKind(t, err, core.KindRequestReleased)
		}
		h.reports(core.Event{Kind: core.EventUnused, Request: requestName(named(name)).ref()}, core.EventAlreadyReleased)
		h.inUse(0)
	}
	h.clock.advance(memstore.DefaultMarkTTL)
	h.release(h.take(named("finished")).Token)
}

// TestReleasedBeforeItArrives: the release leaves a mark, so that the Select that comes after it takes nothing.
func TestReleasedBeforeItArrives(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	event := core.Event{Kind: core.EventUnused, Request: requestName(named("r1")).ref()}
	if r := h.reports(event, core.EventReleaseRecorded); r.Account != "" {
		t.Errorf("account %q", r.Account)
	}
	h.reports(event, core.EventAlreadyReleased)
	req := named("r1")
	_, err := h.Select(context.Background(), &req)
	isKind(t, err, core.KindRequestReleased)
	h.inUse(0)
	h.take(named("r2"))
}

// TestRequestIDAfterExpiry: a lease that ended by itself leaves its id free to ask again.
func TestRequestIDAfterExpiry(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	first := h.take(named("r1"))
	h.clock.advance(core.DefaultLeaseTTL - 1)
	if again := h.ask(named("r1")); !again.Decision.Repeated {
		t.Fatal(describe(again))
	}
	h.clock.advance(1)
	again := h.ask(named("r1"))
	if again.Decision.Repeated || again.Selection.Token == first.Token {
		t.Error(describe(again))
	}
	h.inUse(1)
}

// TestBlankRequestIDIsNone: two Selects without an id are two.
func TestBlankRequestIDIsNone(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	h.take(named(""))
	h.take(named(""))
	h.inUse(2)
	h.reports(core.Event{Kind: core.EventUnused}, core.EventUnknown)
	h.inUse(2)
}

// hookStore lets a test act between a take and its answer.
type hookStore struct {
	core.Store
	after func()
}

func (s *hookStore) run() {
	if hook := s.after; hook != nil {
		s.after = nil
		hook()
	}
}

func (s *hookStore) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	taken, err := s.Store.TakeBound(ctx, take)
	if err == nil && taken.Status != core.BoundNone {
		s.run()
	}
	return taken, err
}

func (s *hookStore) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	taken, err := s.Store.TakeFirst(ctx, take)
	if err == nil {
		s.run()
	}
	return taken, err
}

func hookedHouse(t *testing.T, accounts []pool.Account) (*house, *hookStore) {
	hooked := &hookStore{}
	h := newHouse(t, accounts, over(func(s core.Store) core.Store {
		hooked.Store = s
		return hooked
	}))
	return h, hooked
}

// cancelled runs a Select whose ctx ends between the take and the answer.
func (h *house) cancelled(hooked *hookStore, req core.Request, meanwhile func()) {
	h.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	hooked.after = func() {
		meanwhile()
		cancel()
	}
	answer, err := h.Select(ctx, &req)
	if answer != nil || !errors.Is(err, context.Canceled) {
		h.tb.Fatalf("answer %+v, error %v", answer, err)
	}
}

// TestCancelledSelectGivesBack: nobody hears of the slot, so it is free; the id may ask again.
func TestCancelledSelectGivesBack(t *testing.T) {
	h, hooked := hookedHouse(t, plain(1, 1))
	h.cancelled(hooked, named("r1"), func() { h.inUse(1) })
	h.inUse(0)
	got := h.ask(named("r1"))
	if got.Selection == nil || got.Decision.Repeated {
		t.Fatal(describe(got))
	}
	h.release(got.Selection.Token)

	// By a sticky layer too, and before anything was taken.
	h.release(h.take(inSession("conv")).Token)
	h.cancelled(hooked, inSession("conv"), func() { h.inUse(1) })
	h.inUse(0)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Select(over, &mainRequest); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	// The failures count as such, and by the layer that errors report: nobody was answered.
	snap := h.state()
	for _, count := range snap.Selects {
		if count.Outcome == core.OutcomeFailed && (count.Layer != decide.LayerLoadBalance || count.Total != 3) {
			t.Errorf("failed selects: %+v", count)
		}
	}
	if snap.Totals.SessionHits != 0 {
		t.Errorf("%d session hits", snap.Totals.SessionHits)
	}
}

// TestCancelledSelectLeavesOthersLease: of two that were handed one lease, each takes back only its own handing out.
func TestCancelledSelectLeavesOthersLease(t *testing.T) {
	h, hooked := hookedHouse(t, plain(2, 1))
	var token string
	h.cancelled(hooked, named("first"), func() { token = h.take(named("first")).Token })
	h.inUse(1)
	h.release(token)

	token = h.take(named("second")).Token
	h.cancelled(hooked, named("second"), func() {})
	h.inUse(1)
	h.release(token)

	h.cancelled(hooked, named("both"), func() { h.cancelled(hooked, named("both"), func() {}) })
	h.inUse(0)
	if again := h.ask(named("both")); again.Selection == nil || again.Decision.Repeated {
		t.Error(describe(again))
	}
}

// TestCancelledDryRunTakesNothingBack: a look at another's lease is no handing out.
func TestCancelledDryRunTakesNothingBack(t *testing.T) {
	h, hooked := hookedHouse(t, plain(1, 1))
	token := h.take(named("r1")).Token
	look := named("r1")
	look.DryRun = true
	h.cancelled(hooked, look, func() {})
	h.inUse(1)
	h.release(token)
}

// TestRepeatExplained: a repeat is explained by the decision that it repeats.
func TestRepeatExplained(t *testing.T) {
	h := newHouse(t, ranked(3, 5))
	ask := named("r1")
	ask.Explain = true
	first := h.ask(ask)
	h.on(mainRequest, "c") // loads are others now
	again := h.ask(ask)
	if fmt.Sprint(again.Decision.Verdicts) != fmt.Sprint(first.Decision.Verdicts) || len(first.Decision.Verdicts) != 3 {
		t.Errorf("verdicts %v, first %v", again.Decision.Verdicts, first.Decision.Verdicts)
	}
}
