package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// obstacle keeps a bound account from serving; what becomes of its bindings then.
type obstacle struct {
	name     string
	account  func(*pool.Account)
	removed  bool
	request  func(*core.Request)
	policy   func(*decide.Policy)
	reason   decide.Reason
	response core.BindingFate
	session  core.BindingFate
}

const (
	kept    = core.BindingKept
	dropped = core.BindingDropped
	hit     = core.BindingHit
)

func obstacles() []obstacle {
	later := testStart.Add(time.Hour / 2)
	return []obstacle{
		{name: "excluded by the caller", request: func(r *core.Request) { r.Excluded = []string{"a"} }, reason: decide.ExcludedByCaller, response: kept, session: kept},
		{name: "excluded and not known", request: func(r *core.Request) { r.Excluded = []string{"a"} }, removed: true, reason: decide.ExcludedByCaller, response: kept, session: kept},
		{name: "not known", removed: true, reason: decide.Unknown, response: dropped, session: dropped},
		{
			name: "a transport that the response layer does not serve", reason: decide.ResponseTransport, response: kept, session: hit,
			policy: func(p *decide.Policy) { p.ResponseTransports = pool.TransportsOf(pool.ResponsesWebSocketsV2) },
		},
		{name: "another provider", request: func(r *core.Request) { r.Provider = "other" }, reason: decide.Provider, response: dropped, session: dropped},
		{name: "in error", account: func(a *pool.Account) { a.Status = pool.StatusError }, reason: decide.StatusError, response: dropped, session: dropped},
		{name: "status disabled", account: func(a *pool.Account) { a.Status = pool.StatusDisabled }, reason: decide.StatusDisabled, response: dropped, session: dropped},
		{name: "state disabled", account: func(a *pool.Account) { a.State = pool.Disabled }, reason: decide.StateDisabled, response: dropped, session: dropped},
		{name: "paused", account: func(a *pool.Account) { a.State = pool.Paused }, reason: decide.Paused, response: kept, session: kept},
		{name: "drained", account: func(a *pool.Account) { a.State, a.DrainUntil = pool.Draining, testStart }, reason: decide.Draining, response: kept, session: kept},
		{name: "unschedulable", account: func(a *pool.Account) { a.Unschedulable = true }, reason: decide.Unschedulable, response: dropped, session: dropped},
		{name: "temporarily unschedulable", account: func(a *pool.Account) { a.TempUnschedulableUntil = later }, reason: decide.TempUnschedulable, response: dropped, session: dropped},
		{name: "under a limit for this model", account: func(a *pool.Account) {
			a.ModelLimits = map[string]time.Time{"gpt-5": later}
		}, reason: decide.ModelLimited, response: dropped, session: dropped},
		{name: "does not map this model", account: func(a *pool.Account) {
			a.Models = pool.NewModels(map[string]string{"other": "other"})
		}, reason: decide.ModelUnmapped, response: kept, session: kept},
		{name: "without the required transport", request: func(r *core.Request) { r.Transport = pool.ResponsesWebSockets }, reason: decide.Transport, response: kept, session: dropped},
		{name: "overloaded", account: func(a *pool.Account) { a.OverloadedUntil = later }, reason: decide.Overloaded, response: kept, session: kept},
		{name: "rate-limited", account: func(a *pool.Account) { a.RateLimitedUntil = later }, reason: decide.RateLimited, response: kept, session: kept},
		{name: "outside the group", account: func(a *pool.Account) { a.Groups = []string{"other"} }, reason: decide.OutsideGroup, response: dropped, session: dropped},
		{name: "expired", account: func(a *pool.Account) { a.AutoPauseOnExpired, a.ExpiresAt = true, testStart }, reason: decide.Expired, response: dropped, session: dropped},
		{name: "of unknown status", account: func(a *pool.Account) { a.Status = pool.StatusUnknown }, reason: decide.StatusUnknown, response: dropped, session: dropped},
	}
}

// put puts the obstacle up before account a, and gives the request that meets it.
func (o *obstacle) put(h *house, accounts []pool.Account, req core.Request) core.Request {
	changed := append([]pool.Account(nil), accounts...)
	if o.account != nil {
		o.account(&changed[0])
	}
	if o.removed {
		changed = changed[1:]
	}
	policy := h.policy
	if o.policy != nil {
		o.policy(&h.policy)
	}
	h.apply(changed...)
	h.policy = policy
	if o.request != nil {
		o.request(&req)
	}
	return req
}

// fits gives b what every obstacle's request asks for.
func fits(accounts []pool.Account) []pool.Account {
	for i := range accounts[1:] {
		accounts[i+1].Transports = pool.TransportsOf(pool.HTTPSSE, pool.ResponsesWebSockets, pool.ResponsesWebSocketsV2)
	}
	return accounts
}

// TestStickyRows walks the rows of the table for both layers: what the layer says of the binding,
// that nothing is taken by it, and, the obstacle gone, whether the binding still leads to its account.
func TestStickyRows(t *testing.T) {
	for _, o := range obstacles() {
		for _, layer := range []decide.Layer{decide.LayerResponse, decide.LayerSession} {
			t.Run(o.name+"/"+layer.String(), func(t *testing.T) { stickyRow(t, &o, layer) })
		}
	}
}

func stickyRow(t *testing.T, o *obstacle, layer decide.Layer) {
	accounts := plain(1, 2)
	h := newHouse(t, accounts)
	req, want := inSession("conv"), o.session
	if layer == decide.LayerResponse {
		h.bindResponse(mainRequest, "a", "resp")
		req, want = afterResponse("resp"), o.response
	} else {
		h.release(h.take(req).Token)
	}
	answer := h.ask(o.put(h, accounts, req))
	found := answer.Decision.Session
	if layer == decide.LayerResponse {
		found = answer.Decision.Response
	}
	reason := o.reason
	if want == hit {
		reason = decide.None
	}
	if found.Fate != want || found.Account != "a" || found.Reason != reason {
		t.Fatalf("want fate %d for %v: %s", want, reason, describe(answer))
	}
	if answer.Selection != nil {
		h.release(answer.Selection.Token)
	}
	h.inUse(0)
	h.apply(accounts...)
	if want == dropped {
		layer = decide.LayerLoadBalance
	}
	h.chooses(req, layer, "a")
}

// TestStickyBoundAnew: when load balancing takes, the session follows, even over a kept
// binding; a response's binding is not changed by that.
func TestStickyBoundAnew(t *testing.T) {
	for _, o := range obstacles() {
		if o.session == hit {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			accounts := fits(plain(2, 2))
			for i := range accounts {
				if o.reason == decide.Provider && i > 0 {
					accounts[i].Provider = "other"
				}
			}
			h := newHouse(t, accounts)
			h.bindResponse(mainRequest, "a", "resp")
			req := inSession("conv")
			h.release(h.on(req, "a"))
			req.PreviousResponseID = "resp"
			sel := h.chooses(o.put(h, accounts, req), decide.LayerLoadBalance, "b")
			h.release(sel.Token)
			h.apply(accounts...)
			h.release(h.chooses(inSession("conv"), decide.LayerSession, "b").Token)
			if o.response == kept {
				// The response layer comes first, and the session follows it back.
				h.release(h.chooses(req, decide.LayerResponse, "a").Token)
				h.release(h.chooses(inSession("conv"), decide.LayerSession, "a").Token)
			} else {
				h.release(h.chooses(req, decide.LayerSession, "b").Token)
			}
			h.inUse(0)
		})
	}
}

// TestStickyDraining: bound conversations go on until the deadline, new ones do not come.
func TestStickyDraining(t *testing.T) {
	accounts := plain(1, 0)
	h := newHouse(t, accounts)
	h.bindResponse(mainRequest, "a", "resp")
	h.take(inSession("conv"))
	accounts[0].State, accounts[0].DrainUntil = pool.Draining, testStart.Add(time.Minute)
	h.apply(accounts...)
	h.chooses(inSession("conv"), decide.LayerSession, "a")
	h.chooses(afterResponse("resp"), decide.LayerResponse, "a")
	h.refused(inSession("new"), core.RefusedNoneEligible)
	h.refused(mainRequest, core.RefusedNoneEligible)
	h.clock.advance(time.Minute)
	h.refused(inSession("conv"), core.RefusedNoneEligible)
	h.refused(afterResponse("resp"), core.RefusedNoneEligible)
	// Active again, it has its conversations still.
	accounts[0].State = pool.Active
	h.apply(accounts...)
	h.chooses(inSession("conv"), decide.LayerSession, "a")
	h.chooses(afterResponse("resp"), decide.LayerResponse, "a")
}

// TestStickyDrainWithoutDeadline: no deadline is never.
func TestStickyDrainWithoutDeadline(t *testing.T) {
	accounts := plain(1, 0)
	h := newHouse(t, accounts)
	h.take(inSession("conv"))
	accounts[0].State = pool.Draining
	h.apply(accounts...)
	h.clock.advance(decide.DefaultTTL - 1)
	h.chooses(inSession("conv"), decide.LayerSession, "a")
}
