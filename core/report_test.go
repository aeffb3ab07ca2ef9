package core_test

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

func finished(token string, outcome core.Outcome) core.Event {
	return core.Event{Kind: core.EventFinished, Token: token, Outcome: outcome}
}

func firstToken(token string, ttft time.Duration) core.Event {
	return core.Event{Kind: core.EventFirstToken, Token: token, TTFT: ttft}
}

// TestOutcomes: who pays for an end, from an error rate of 0.5.
func TestOutcomes(t *testing.T) {
	for outcome, want := range map[core.Outcome]float64{
		core.OutcomeSuccess:         0.25,
		core.OutcomeAccountError:    0.75,
		core.OutcomeUpstreamTimeout: 0.75,
		core.OutcomeClientError:     0.5,
		core.OutcomeCancelled:       0.5,
		core.OutcomeCallerTimeout:   0.5,
	} {
		h := newHouse(t, plain(1, 1), under(func(p *decide.Policy) { p.Alpha = 0.5 }))
		h.reports(finished(h.take(mainRequest).Token, core.OutcomeAccountError), core.EventApplied)
		h.reports(finished(h.take(mainRequest).Token, outcome), core.EventApplied)
		if got := h.account("a").Stat.ErrorRate; got != want {
			t.Errorf("outcome %d: error rate %v, want %v", outcome, got, want)
		}
		h.inUse(0)
	}
}

// TestNothingLearned: what is no end and no first token leaves no statistics.
func TestNothingLearned(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	h.release(h.take(mainRequest).Token)
	h.reports(finished(h.take(mainRequest).Token, core.OutcomeCancelled), core.EventApplied)
	h.reports(firstToken(h.take(mainRequest).Token, 0), core.EventApplied)
	h.reports(core.Event{Kind: core.EventSwitched, Token: h.take(mainRequest).Token}, core.EventApplied)
	if n := h.state().Totals.StatAccounts; n != 0 || h.account("a").Stat != (decide.Stat{}) {
		t.Errorf("%d accounts with statistics, %+v", n, h.account("a").Stat)
	}
	h.reports(finished(h.take(mainRequest).Token, core.OutcomeSuccess), core.EventApplied)
	if n := h.state().Totals.StatAccounts; n != 1 {
		t.Errorf("%d accounts with statistics", n)
	}
}

// TestFirstTokenCountsOnce: one sample a lease, from whichever event brings it first.
func TestFirstTokenCountsOnce(t *testing.T) {
	h := newHouse(t, plain(1, 0), under(func(p *decide.Policy) { p.Alpha = 0.5 }))
	ttft := func(want float64) {
		t.Helper()
		if s := h.account("a").Stat; s.TTFT != want || s.HasTTFT != (want > 0) {
			t.Fatalf("stat %+v, want %v ms", s, want)
		}
	}
	token := h.take(mainRequest).Token
	h.reports(firstToken(token, 100*time.Millisecond), core.EventApplied)
	ttft(100)
	h.reports(firstToken(token, 900*time.Millisecond), core.EventAlreadyApplied)
	ttft(100)
	end := finished(token, core.OutcomeSuccess)
	end.TTFT = 900 * time.Millisecond
	h.reports(end, core.EventApplied)
	ttft(100)

	// An event without a time leaves the sample to the next one.
	token = h.take(mainRequest).Token
	for _, none := range []time.Duration{0, -time.Second} {
		h.report(firstToken(token, none))
		ttft(100)
	}
	end = finished(token, core.OutcomeAccountError)
	end.TTFT = 200 * time.Millisecond
	h.reports(end, core.EventApplied)
	ttft(150)

	// Fractions of a millisecond count.
	h.reports(firstToken(h.take(mainRequest).Token, 500*time.Microsecond), core.EventApplied)
	ttft(75.25)

	// A first token that is heard of after the end still counts, once.
	token = h.take(mainRequest).Token
	h.reports(finished(token, core.OutcomeSuccess), core.EventApplied)
	h.reports(firstToken(token, 225250*time.Microsecond), core.EventApplied)
	h.reports(firstToken(token, time.Hour), core.EventAlreadyApplied)
	ttft(150.25)
}

// TestReleasedOnce: the second end of a lease changes nothing, whatever the two are.
func TestReleasedOnce(t *testing.T) {
	for _, first := range []core.EventKind{core.EventFinished, core.EventUnused} {
		for _, second := range []core.EventKind{core.EventFinished, core.EventUnused} {
			h := newHouse(t, plain(1, 2))
			token, other := h.take(mainRequest).Token, h.take(mainRequest).Token
			h.reports(core.Event{Kind: first, Token: token, Outcome: core.OutcomeSuccess}, core.EventApplied)
			again := core.Event{Kind: second, Token: token, Outcome: core.OutcomeAccountError, ResponseID: "resp"}
			if r := h.reports(again, core.EventAlreadyReleased); r.Account != "a" || r.Bound {
				t.Errorf("result %+v", r)
			}
			h.inUse(1)
			if rate := h.account("a").Stat.ErrorRate; rate != 0 {
				t.Errorf("error rate %v", rate)
			}
			h.release(other)
		}
	}
}

// TestFinishedAfterExpiry: it frees nothing that was not free, and counts once.
func TestFinishedAfterExpiry(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	req := mainRequest
	req.LeaseTTL = time.Minute
	token := h.take(req).Token
	h.clock.advance(time.Minute)
	h.inUse(0)
	successor := h.take(mainRequest).Token
	late := finished(token, core.OutcomeAccountError)
	late.TTFT, late.ResponseID = 70*time.Millisecond, "resp"
	if r := h.reports(late, core.EventExpired); !r.Bound || r.Account != "a" {
		t.Errorf("result %+v", r)
	}
	want := decide.Stat{ErrorRate: 0.2, TTFT: 70, HasTTFT: true}
	if got := h.account("a").Stat; got != want {
		t.Errorf("learned %+v, want %+v", got, want)
	}
	h.inUse(1)
	h.reports(late, core.EventAlreadyReleased)
	if got := h.account("a").Stat; got != want {
		t.Errorf("counted twice: %+v", got)
	}
	h.release(successor)
	h.chooses(afterResponse("resp"), decide.LayerResponse, "a")
}

// TestReportTooOld: when the mark is gone, nobody can tell whether it counted, so it does not.
func TestReportTooOld(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	released := h.take(mainRequest).Token
	h.release(released)
	lost := h.take(mainRequest).Token
	h.clock.advance(core.DefaultLeaseTTL)
	h.inUse(0)
	h.clock.advance(memstore.DefaultMarkTTL)
	for _, token := range []string{released, lost} {
		r := h.reports(finished(token, core.OutcomeAccountError), core.EventUnknown)
		if r.Account != "a" || r.Bound {
			t.Errorf("result %+v", r)
		}
	}
	if s := h.account("a").Stat; s != (decide.Stat{}) {
		t.Errorf("learned %+v", s)
	}
	h.inUse(0)
}

// TestSuccessorTakesReport: a token is good at another scheduler with the same secret, which never saw the lease.
func TestSuccessorTakesReport(t *testing.T) {
	h := newHouse(t, plain(2, 1))
	successor := newHouse(t, plain(2, 1), with(func(o *core.Options) { o.Entropy = seeded(2) }))
	req := core.Request{Tenant: "acme", Group: "main"}
	token := h.on(req, "b")
	successor.on(core.Request{}, "b")
	event := finished(token, core.OutcomeAccountError)
	event.ResponseID = "resp"
	if r := successor.reports(event, core.EventExpired); r.Account != "b" || !r.Bound {
		t.Errorf("result %+v", r)
	}
	successor.reports(event, core.EventAlreadyReleased)
	if rate := successor.account("b").Stat.ErrorRate; rate != 0.2 {
		t.Errorf("error rate %v", rate)
	}
	successor.inUse(1)
	req.PreviousResponseID = "resp"
	if d := successor.ask(req).Decision; d.Response.Account != "b" {
		t.Errorf("response %+v", d.Response)
	}
}

// TestResponseBound: by the first token as by the end, in the lease's tenant and group.
func TestResponseBound(t *testing.T) {
	h := newHouse(t, plain(3, 0))
	token := h.on(mainRequest, "b")
	event := firstToken(token, time.Second)
	event.ResponseID = "early"
	if r := h.reports(event, core.EventApplied); !r.Bound {
		t.Error("not bound by the first token")
	}
	h.livesOn(afterResponse("early"), "b")
	event = finished(token, core.OutcomeSuccess)
	event.ResponseID = " late\t"
	if r := h.reports(event, core.EventApplied); !r.Bound {
		t.Error("not bound by the end")
	}
	h.livesOn(afterResponse("early"), "b")
	h.livesOn(afterResponse("late"), "b")
	blank := finished(h.take(mainRequest).Token, core.OutcomeSuccess)
	blank.ResponseID = " "
	if r := h.reports(blank, core.EventApplied); r.Bound {
		t.Error("a blank id was bound")
	}
}

func (h *house) livesOn(req core.Request, account string) {
	h.tb.Helper()
	req.DryRun = true
	h.chooses(req, decide.LayerResponse, account)
}

// TestSwitchesCountOnce: once a lease; the slot stays taken.
func TestSwitchesCountOnce(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	token := h.take(mainRequest).Token
	h.reports(core.Event{Kind: core.EventSwitched, Token: token}, core.EventApplied)
	h.reports(core.Event{Kind: core.EventSwitched, Token: token}, core.EventAlreadyApplied)
	h.inUse(1)
	totals := h.state().Totals
	if totals.Switches != 1 || totals.SwitchRate != 1 {
		t.Errorf("totals %+v", totals)
	}
}

// TestReportsInSelect: a retry reports its failed attempt in the same call; the slot is free for it, and the results come with a refusal too.
func TestReportsInSelect(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	req := mainRequest
	req.Reports = []core.Event{finished(h.take(mainRequest).Token, core.OutcomeAccountError), {Kind: core.EventUnused, Token: "forged"}}
	answer := h.ask(req)
	want := []core.EventResult{{Status: core.EventApplied, Account: "a"}, {Status: core.EventTokenInvalid}}
	if answer.Selection == nil {
		t.Fatal(describe(answer))
	}
	equal(t, "results", answer.Reports, want)
	req.Group, req.Reports = "nobody", []core.Event{finished(answer.Selection.Token, core.OutcomeSuccess)}
	refused := h.ask(req)
	equal(t, "results", refused.Reports, want[:1])
	h.inUse(0)
}

// TestRenew: a whole new life from now, or why not.
func TestRenew(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	req := mainRequest
	req.LeaseTTL = time.Minute
	lives, released, expired := h.take(req).Token, h.take(mainRequest).Token, h.take(req).Token
	h.release(released)
	h.clock.advance(time.Minute - 1)
	renew := func(ttl time.Duration, want ...core.RenewResult) {
		t.Helper()
		results, err := h.Renew(context.Background(), []string{lives, "forged", released, expired}[:len(want)], ttl)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "renewals", results, want)
	}
	forged, gone := core.RenewResult{Status: core.EventTokenInvalid}, core.RenewResult{Status: core.EventAlreadyReleased}
	renew(time.Hour, core.RenewResult{Status: core.EventApplied, ExpiresAt: h.clock.Now().Add(time.Hour)}, forged, gone)
	h.clock.advance(1)
	h.inUse(1)
	applied := core.RenewResult{Status: core.EventApplied, ExpiresAt: h.clock.Now().Add(core.DefaultLeaseTTL)}
	renew(0, applied, forged, gone, core.RenewResult{Status: core.EventExpired})
	h.clock.advance(core.DefaultLeaseTTL - 1)
	h.inUse(1)
	h.clock.advance(1)
	h.inUse(0)
}

// TestReportAfterClose: what was leased can still be given back.
func TestReportAfterClose(t *testing.T) {
	h := newHouse(t, plain(1, 1))
	token := h.take(mainRequest).Token
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, err := h.Select(context.Background(), &mainRequest)
	isKind(t, err, core.KindClosed)
	results, err := h.Renew(context.Background(), []string{token}, 0)
	if err != nil || results[0].Status != core.EventApplied {
		t.Errorf("renewals %+v, error %v", results, err)
	}
	h.release(token)
	h.inUse(0)
}

// tally is an observer that counts.
type tally struct {
	selects []core.SelectOutcome
	reports []core.EventStatus
}

func (o *tally) Selected(s core.SelectObservation) { o.selects = append(o.selects, s.Outcome) }
func (o *tally) Reported(_ core.EventKind, _ core.Outcome, status core.EventStatus) {
	o.reports = append(o.reports, status)
}

// TestObserver is told of every Select but dry runs and repeats, and of every event.
func TestObserver(t *testing.T) {
	seen := &tally{}
	h := newHouse(t, plain(1, 1), with(func(o *core.Options) { o.Observer = seen }))
	look := mainRequest
	look.DryRun = true
	h.ask(look)
	token := h.take(named("r1")).Token
	h.ask(named("r1"))
	h.ask(mainRequest)
	h.ask(core.Request{Group: "nobody"})
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Select(over, &mainRequest); err == nil {
		t.Error("no error")
	}
	h.report(finished(token, core.OutcomeSuccess))
	h.report(finished(token, core.OutcomeSuccess))
	h.report(finished("forged", core.OutcomeSuccess))
	equal(t, "selects", seen.selects, []core.SelectOutcome{
		core.OutcomeSelected, core.OutcomePlanned, core.OutcomeRefused, core.OutcomeFailed,
	})
	equal(t, "reports", seen.reports, []core.EventStatus{
		core.EventApplied, core.EventAlreadyReleased, core.EventTokenInvalid,
	})
}
