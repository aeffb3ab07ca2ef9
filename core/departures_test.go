package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Each test here stands for a reason under which recorded cases are not compared, and says what usher does instead.

var mainRequest = core.Request{Group: "main", Model: "gpt-5"}

func inSession(hash string) core.Request {
	req := mainRequest
	req.SessionHash = hash
	return req
}

func afterResponse(id string) core.Request {
	req := mainRequest
	req.PreviousResponseID = id
	return req
}

// sticky_hint: a caller cannot vouch for an account, so there is nothing to hint with;
// a binding that is not in the store has no effect, whatever session is named.
func TestDepartureNoHint(t *testing.T) {
	h := newHouse(t, ranked(2, 1))
	h.on(inSession("mine"), "b")
	h.on(core.Request{}, "a")
	plan := h.ask(inSession("another's"))
	if plan.WaitPlan == nil || plan.Decision.Layer != decide.LayerLoadBalance || plan.Decision.Session.Fate != core.BindingNone {
		t.Fatal(describe(plan))
	}
}

// slot_leak: the record takes the slot of a hit whose transport does not fit and
// never gives it back. Fitness comes before taking here, so there is nothing to give back.
func TestDepartureNoLeakOnTransport(t *testing.T) {
	h := newHouse(t, plain(2, 3))
	h.bindResponse(mainRequest, "a", "resp")
	ask := afterResponse("resp")
	ask.Transport = pool.ResponsesWebSocketsV2
	for range 5 {
		h.refused(ask, core.RefusedNoneEligible)
		h.inUse(0)
	}
	// The binding is as it was: the account may serve what does not need the transport.
	h.chooses(afterResponse("resp"), decide.LayerResponse, "a")
	h.inUse(1)
}

// sticky_ignores_group, sticky_keeps_unschedulable and their untagged kin: one
// eligibility serves all layers, because an account that must not serve must not serve by a binding either.
func TestDepartureStickyEligibility(t *testing.T) {
	later := testStart.Add(time.Minute)
	cases := []struct {
		name   string
		change func(*pool.Account)
		reason decide.Reason
		fate   core.BindingFate
		until  time.Time
	}{
		{"outside the group", func(a *pool.Account) { a.Groups = []string{"other"} }, decide.OutsideGroup, core.BindingDropped, time.Time{}},
		{"overloaded", func(a *pool.Account) { a.OverloadedUntil = later }, decide.Overloaded, core.BindingKept, later},
		{"rate-limited", func(a *pool.Account) { a.RateLimitedUntil = later }, decide.RateLimited, core.BindingKept, later},
		{"expired", func(a *pool.Account) { a.ExpiresAt, a.AutoPauseOnExpired = testStart, true }, decide.Expired, core.BindingDropped, time.Time{}},
		{"of unknown status", func(a *pool.Account) { a.Status = pool.StatusUnknown }, decide.StatusUnknown, core.BindingDropped, time.Time{}},
		{"unschedulable", func(a *pool.Account) { a.Unschedulable = true }, decide.Unschedulable, core.BindingDropped, time.Time{}},
		{"under a limit for the model", func(a *pool.Account) {
			a.ModelLimits = map[string]time.Time{"gpt-5": later}
		}, decide.ModelLimited, core.BindingDropped, later},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			accounts := plain(2, 0)
			h := newHouse(t, accounts)
			h.bindResponse(mainRequest, "a", "resp")
			h.on(inSession("conv"), "a")
			c.change(&accounts[0])
			h.apply(accounts...)
			req := inSession("conv")
			req.PreviousResponseID = "resp"
			answer := h.ask(req)
			want := core.StickyVerdict{Fate: c.fate, Account: "a", Reason: c.reason, Until: c.until}
			if answer.Decision.Response != want || answer.Decision.Session != want {
				t.Errorf("want %+v: %s", want, describe(answer))
			}
			if answer.Decision.Layer != decide.LayerLoadBalance || answer.Selection.Account.ID != "b" {
				t.Error(describe(answer))
			}
		})
	}
}

// model_limited_candidate: the record sends load-balanced requests into a limit
// that it knows of. The limit is looked up under the upstream's name, trimmed, and over once its deadline is now.
func TestDepartureModelLimitedCandidate(t *testing.T) {
	accounts := ranked(2, 0)
	accounts[0].Models = pool.NewModels(map[string]string{"gpt-5": " upstream-5 ", "gpt-4": "upstream-4"})
	accounts[0].ModelLimits = map[string]time.Time{
		"upstream-5": testStart.Add(time.Minute),
		"gpt-4":      testStart.Add(time.Minute), // the name before mapping limits nothing
	}
	h := newHouse(t, accounts, under(func(p *decide.Policy) { p.TopK = 1 }))
	h.chooses(mainRequest, decide.LayerLoadBalance, "b")
	h.chooses(core.Request{Group: "main", Model: "gpt-4"}, decide.LayerLoadBalance, "a")
	h.clock.advance(time.Minute - 1)
	h.chooses(mainRequest, decide.LayerLoadBalance, "b")
	h.clock.advance(1)
	sel := h.chooses(mainRequest, decide.LayerLoadBalance, "a")
	if sel.Upstream != " upstream-5 " {
		t.Errorf("upstream %q", sel.Upstream)
	}
}

// wait_despite_free: the record waits for the best while others stand idle. Here the
// rest is tried in rank order, and a load-balance wait plan means that nothing is free.
func TestDepartureRestInRankOrder(t *testing.T) {
	const n = 6
	// By priority alone, so that being full moves nobody in the ranks.
	h := newHouse(t, ranked(n, 1), under(func(p *decide.Policy) { p.TopK, p.Weights = 2, decide.Weights{Priority: 1} }))
	var tokens []string
	got := map[string]bool{}
	for i := range n {
		sel := h.take(mainRequest)
		tokens = append(tokens, sel.Token)
		got[sel.Account.ID] = true
		if want := string(rune('a' + i)); i >= 2 && sel.Account.ID != want {
			t.Errorf("request %d took %s, want %s", i, sel.Account.ID, want)
		}
	}
	if len(got) != n {
		t.Errorf("took %v", got)
	}
	answer := h.ask(mainRequest)
	plan := answer.WaitPlan
	if plan == nil {
		t.Fatal(describe(answer))
	}
	if plan.Timeout != 30*time.Second || plan.MaxWaiting != 100 || plan.Waiting != 0 {
		t.Errorf("plan %+v", plan)
	}
	h.inUse(n)
	// One slot anywhere ends the waiting.
	for i, token := range tokens {
		h.release(token)
		sel := h.take(mainRequest)
		tokens[i] = sel.Token
	}
	h.inUse(n)
}

// local_response_binding_ignores_group: a response belongs to a conversation of one tenant in
// one group; another that names its id must neither reach the account nor disturb the binding.
func TestDepartureResponseKeyedByTenantAndGroup(t *testing.T) {
	accounts := plain(2, 0)
	for i := range accounts {
		accounts[i].Groups = []string{"main", "second"}
	}
	h := newHouse(t, accounts)
	bind := mainRequest
	bind.Tenant = "acme"
	h.bindResponse(bind, "a", "resp")

	ask := afterResponse("resp")
	ask.Tenant = "acme"
	h.chooses(ask, decide.LayerResponse, "a")
	for name, change := range map[string]func(*core.Request){
		"another tenant": func(r *core.Request) { r.Tenant = "globex" },
		"no tenant":      func(r *core.Request) { r.Tenant = "" },
		"another group":  func(r *core.Request) { r.Group = "second" },
		"no group":       func(r *core.Request) { r.Group = "" },
	} {
		other := ask
		change(&other)
		if d := h.ask(other).Decision; d.Layer != decide.LayerLoadBalance || d.Response.Fate != core.BindingNone {
			t.Errorf("%s: layer %v, response %+v", name, d.Layer, d.Response)
		}
	}
	h.chooses(ask, decide.LayerResponse, "a")

	// The same holds for sessions.
	h.on(inSession("conv"), "b")
	foreign := inSession("conv")
	foreign.Tenant = "globex"
	if d := h.ask(foreign).Decision; d.Session.Fate != core.BindingNone {
		t.Errorf("a session was found by another tenant: %+v", d.Session)
	}
}

// The record's store cuts load rates to whole percent, so that big accounts look
// idle until they are not. Here 1 of 1000 slots decides.
func TestDepartureFractionalLoad(t *testing.T) {
	h := newHouse(t, plain(2, 1000), under(func(p *decide.Policy) {
		p.Weights, p.TopK = decide.Weights{Load: 1}, 1
	}))
	h.on(core.Request{}, "a")
	for range 3 {
		sel := h.chooses(mainRequest, decide.LayerLoadBalance, "b")
		h.release(sel.Token)
	}
	answer := h.ask(mainRequest)
	if answer.Decision.LoadSkew != 0.05 { // rates 0.1 and 0
		t.Errorf("skew %v", answer.Decision.LoadSkew)
	}
}

// The record's eleven figures count failures; dashboards need to know how answers did, so
// averages over answers stand beside them.
func TestDepartureFailuresCount(t *testing.T) {
	h := newHouse(t, ranked(2, 2))
	h.on(core.Request{}, "a") // rates 50 and 0: skew 25
	h.clock.step = time.Millisecond
	before := h.state().Totals
	answer := h.ask(mainRequest)
	if answer.Decision.LoadSkew != 25 {
		t.Fatalf("skew %v", answer.Decision.LoadSkew)
	}
	none := core.Request{Group: "nobody"}
	for range 3 {
		h.refused(none, core.RefusedNoAccounts)
	}
	got := h.state()
	if n := got.Totals.Selects - before.Selects; n != 4 {
		t.Errorf("%d selects", n)
	}
	if n := got.Totals.LoadBalanced - before.LoadBalanced; n != 4 {
		t.Errorf("%d load-balance selects", n)
	}
	// Two of all five answered, with a skew of 0 and of 25.
	if got.Totals.LoadSkewAvg != 25.0/5 || got.Totals.AnsweredLoadSkewAvg != 25.0/2 {
		t.Errorf("skew %v, of answers %v", got.Totals.LoadSkewAvg, got.Totals.AnsweredLoadSkewAvg)
	}
	want := map[core.SelectCount]bool{
		{Layer: decide.LayerLoadBalance, Outcome: core.OutcomeSelected, Total: 2}:                                 true,
		{Layer: decide.LayerLoadBalance, Outcome: core.OutcomeRefused, Refusal: core.RefusedNoAccounts, Total: 3}: true,
	}
	for _, count := range got.Selects {
		if !want[count] {
			t.Errorf("unexpected count %+v", count)
		}
		delete(want, count)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
}

// The record counts latency in whole milliseconds, which is always 0.
func TestDepartureLatencyIsADuration(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	h.clock.step = 3 * time.Microsecond
	answer := h.ask(mainRequest)
	if answer.Decision.Latency <= 0 || answer.Decision.Latency >= time.Millisecond {
		t.Errorf("latency %v", answer.Decision.Latency)
	}
	totals := h.state().Totals
	if totals.Latency != answer.Decision.Latency || totals.LatencyAvg != totals.Latency || totals.AnsweredLatencyAvg != totals.Latency {
		t.Errorf("totals %+v, want %v", totals, answer.Decision.Latency)
	}
}
