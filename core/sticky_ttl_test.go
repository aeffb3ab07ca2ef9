package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

const (
	sessionTTL  = 10 * time.Minute
	responseTTL = 7 * time.Minute
)

// ttlHouse has one account with the given limit and lives of bindings that differ.
func ttlHouse(t *testing.T, limit int) *house {
	return newHouse(t, plain(1, limit), under(func(p *decide.Policy) {
		p.SessionTTL, p.ResponseTTL = sessionTTL, responseTTL
	}))
}

// livesBy checks by which layer the account is found.
func (h *house) livesBy(req core.Request, layer decide.Layer) {
	h.tb.Helper()
	req.DryRun = true
	h.chooses(req, layer, "a")
}

// TestBindingEndsExactlyNow: what ends now is over.
func TestBindingEndsExactlyNow(t *testing.T) {
	h := ttlHouse(t, 0)
	h.bindResponse(mainRequest, "a", "resp")
	h.take(inSession("conv"))
	h.clock.advance(responseTTL - 1)
	h.livesBy(afterResponse("resp"), decide.LayerResponse)
	h.clock.advance(1)
	h.livesBy(afterResponse("resp"), decide.LayerLoadBalance)
	h.clock.advance(sessionTTL - responseTTL - 1)
	h.livesBy(inSession("conv"), decide.LayerSession)
	h.clock.advance(1)
	h.livesBy(inSession("conv"), decide.LayerLoadBalance)
}

// TestHitRenewsWholeTTL: each layer renews its own; the response layer binds the session too.
func TestHitRenewsWholeTTL(t *testing.T) {
	h := ttlHouse(t, 0)
	h.bindResponse(mainRequest, "a", "resp")
	h.take(inSession("conv"))
	h.clock.advance(responseTTL - 1)
	h.chooses(afterResponse("resp"), decide.LayerResponse, "a")
	h.chooses(inSession("conv"), decide.LayerSession, "a")
	h.clock.advance(responseTTL - 1)
	h.livesBy(afterResponse("resp"), decide.LayerResponse)
	h.clock.advance(1)
	h.livesBy(afterResponse("resp"), decide.LayerLoadBalance)
	h.clock.advance(sessionTTL - responseTTL - 1)
	h.livesBy(inSession("conv"), decide.LayerSession)
	h.clock.advance(1)
	h.livesBy(inSession("conv"), decide.LayerLoadBalance)

	h.bindResponse(mainRequest, "a", "resp")
	both := inSession("followed")
	both.PreviousResponseID = "resp"
	h.chooses(both, decide.LayerResponse, "a")
	h.clock.advance(sessionTTL - 1)
	h.livesBy(inSession("followed"), decide.LayerSession)
	h.clock.advance(1)
	h.livesBy(inSession("followed"), decide.LayerLoadBalance)
}

// TestDryRunRenewsNothing: looking does not keep a binding alive.
func TestDryRunRenewsNothing(t *testing.T) {
	h := ttlHouse(t, 0)
	h.bindResponse(mainRequest, "a", "resp")
	h.take(inSession("conv"))
	h.clock.advance(responseTTL - 1)
	both := inSession("conv")
	both.PreviousResponseID = "resp"
	h.livesBy(both, decide.LayerResponse)
	h.clock.advance(1)
	h.livesBy(afterResponse("resp"), decide.LayerLoadBalance)
	h.clock.advance(sessionTTL - responseTTL)
	h.livesBy(both, decide.LayerLoadBalance)
}

// TestFullResponseLayer: the conversation is kept on its account by a session bound with
// its whole TTL; the response was not used, so its own TTL runs on.
func TestFullResponseLayer(t *testing.T) {
	accounts := plain(2, 1)
	h := newHouse(t, accounts, under(func(p *decide.Policy) { p.SessionTTL, p.ResponseTTL = sessionTTL, responseTTL }),
		with(func(o *core.Options) { o.LeaseTTL = time.Hour }))
	h.bindResponse(mainRequest, "a", "resp")
	h.release(h.on(inSession("conv"), "b"))
	h.on(mainRequest, "a")
	h.clock.advance(responseTTL - 1)
	both := inSession("conv")
	both.PreviousResponseID = "resp"
	answer := h.ask(both)
	plan, d := answer.WaitPlan, answer.Decision
	if plan == nil || plan.Account.ID != "a" || plan.Timeout != 45*time.Second || plan.MaxWaiting != 3 {
		t.Fatal(describe(answer))
	}
	if d.Layer != decide.LayerResponse || !d.PreviousHit || d.SessionHit || d.Response.Fate != core.BindingFull {
		t.Error(describe(answer))
	}
	h.inUse(1)
	h.clock.advance(1)
	again := h.ask(afterResponse("resp"))
	if again.Decision.Layer != decide.LayerLoadBalance || again.Selection.Account.ID != "b" {
		t.Errorf("the response's TTL was renewed: %s", describe(again))
	}
	h.clock.advance(sessionTTL - 2)
	h.fullBy(inSession("conv"), "a")
	h.clock.advance(1)
	if d := h.ask(inSession("conv")).Decision; d.Layer != decide.LayerLoadBalance {
		t.Errorf("the session outlived its TTL: %+v", d)
	}
}

// fullBy checks for a session layer's wait plan, which renews nothing.
func (h *house) fullBy(req core.Request, account string) {
	h.tb.Helper()
	answer := h.ask(req)
	if answer.WaitPlan == nil || answer.WaitPlan.Account.ID != account || !answer.Decision.SessionHit ||
		answer.Decision.Session.Fate != core.BindingFull {
		h.tb.Fatal(describe(answer))
	}
}

// TestFullSessionLayer: a wait plan although another account has room, and the TTL as it was.
func TestFullSessionLayer(t *testing.T) {
	h := newHouse(t, plain(2, 1), under(func(p *decide.Policy) { p.SessionTTL = sessionTTL }))
	h.on(inSession("conv"), "a")
	h.clock.advance(sessionTTL - 1)
	h.fullBy(inSession("conv"), "a")
	h.inUse(1)
	h.clock.advance(1)
	h.chooses(inSession("conv"), decide.LayerLoadBalance, "b")
	h.inUse(2)
}

// TestLoadBalancePlanBindsNothing: who waits for any account has none yet.
func TestLoadBalancePlanBindsNothing(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	token := h.take(mainRequest).Token
	if answer := h.ask(inSession("conv")); answer.WaitPlan == nil || answer.Decision.Layer != decide.LayerLoadBalance {
		t.Fatal(describe(answer))
	}
	h.release(token)
	h.livesBy(inSession("conv"), decide.LayerLoadBalance)
}

// TestHashesAreTrimmed: padding does not make another conversation; case does.
func TestHashesAreTrimmed(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	h.take(inSession("  Übung\t"))
	h.livesBy(inSession("Übung"), decide.LayerSession)
	h.livesBy(inSession("übung"), decide.LayerLoadBalance)
	h.livesBy(inSession(" \n "), decide.LayerLoadBalance)
	h.bindResponse(mainRequest, "a", " resp ")
	h.livesBy(afterResponse("resp\n"), decide.LayerResponse)
}

// TestResponseTransports: the response layer serves what the policy names, by what the account offers.
func TestResponseTransports(t *testing.T) {
	accounts := plain(1, 0)
	accounts[0].Transports = pool.TransportsOf(pool.HTTPSSE, pool.ResponsesWebSocketsV2)
	h := newHouse(t, accounts, under(func(p *decide.Policy) {
		p.ResponseTransports = pool.TransportsOf(pool.ResponsesWebSocketsV2)
	}))
	h.bindResponse(mainRequest, "a", "resp")
	h.livesBy(afterResponse("resp"), decide.LayerResponse)
}
