package core_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/pool"
)

const (
	mixedWorkers = 16
	mixedTTL     = 50 * time.Millisecond
	mixedTick    = time.Millisecond
	// mixedOpsATick makes lives short against the number of operations, so that many leases are forgotten and renewed.
	mixedOpsATick = 50
)

// mixedOps is how many operations TestMixedOperations does, all workers together.
func mixedOps(t *testing.T) int64 {
	text := os.Getenv("USHER_MIXED_OPS")
	if text == "" {
		return 200_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		t.Fatalf("USHER_MIXED_OPS=%q is no number of operations", text)
	}
	return n
}

// fickle is a context that ends after it was looked at so many times.
type fickle struct {
	context.Context
	looks atomic.Int32
}

func (f *fickle) Err() error {
	if f.looks.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// mixedWorker is one client of many: it asks, reports, and forgets as clients do.
type mixedWorker struct {
	t     *testing.T
	h     *house
	rec   *recorder
	left  *atomic.Int64
	rand  *rand.Rand
	name  string
	asked int
	// mine are leases that it has not given back, past those that it has.
	mine, past []mixedLease
	// of has every lease that a request id brought: when one's life was over, the id brings another.
	of map[string][]mixedLease
}

type mixedLease struct {
	account, token string
	request        core.Request
}

// TestMixedOperations: whatever clients do, and leave undone, no account ever has more leases than
// its limit, none has less than none, and when every lease's life has passed, none is left.
func TestMixedOperations(t *testing.T) {
	rec := mixed(t, mixedOps(t), func(s core.Store) core.Store { return s })
	rec.check(t)
	t.Logf("%d leases were granted, at most %d at a time on one account", rec.grants, rec.most)
}

// generousStore grants one lease more than there is room for.
type generousStore struct{ core.Store }

func (s generousStore) Register(ctx context.Context, roster *core.Roster) error {
	more := core.Roster{Accounts: slices.Clone(roster.Accounts)}
	for i := range more.Accounts {
		if more.Accounts[i].Limit > 0 {
			more.Accounts[i].Limit++
		}
	}
	return s.Store.Register(ctx, &more)
}

// TestMixedOperationsNotice that a store exceeds a limit by one, by the clients' own counts alone.
func TestMixedOperationsNotice(t *testing.T) {
	rec := mixed(t, 20_000, func(s core.Store) core.Store { return generousStore{s} })
	if !slices.ContainsFunc(rec.faults, func(fault string) bool { return strings.Contains(fault, "leases on") }) {
		t.Errorf("nobody noticed: %v", rec.faults)
	}
}

// mixed does so many operations from many clients and gives what the recorder saw.
func mixed(t *testing.T, ops int64, wrap func(core.Store) core.Store) *recorder {
	limits := map[string]int{"a": 1, "b": 2, "c": 3, "d": 5, "e": 8, "f": 0}
	accounts := plain(len(limits), 0)
	for i := range accounts {
		accounts[i].MaxConcurrency = limits[accounts[i].ID]
		if accounts[i].ID != "f" {
			accounts[i].Groups = append(accounts[i].Groups, "limited")
		}
	}
	h := newHouse(t, accounts, over(wrap), with(func(o *core.Options) { o.SweepEvery, o.LeaseTTL = mixedTTL/2, mixedTTL }))
	rec := newRecorder(h.clock, limits)
	var left atomic.Int64
	left.Store(ops)
	stop := make(chan struct{})
	var workers, others sync.WaitGroup
	for i := range mixedWorkers {
		w := &mixedWorker{
			t: t, h: h, rec: rec, left: &left,
			rand: rand.New(rand.NewPCG(uint64(i), 7)), name: fmt.Sprint("gateway ", i), of: map[string][]mixedLease{},
		}
		workers.Go(w.run)
	}
	others.Go(func() { watchMixed(t, h, rec, accounts, &left, stop) })
	workers.Wait()
	close(stop)
	others.Wait()
	h.clock.advance(mixedTTL)
	h.inUse(0)
	return rec
}

// watchMixed moves the clock with the work, and reads the counts between.
func watchMixed(t *testing.T, h *house, rec *recorder, accounts []pool.Account, left *atomic.Int64, stop chan struct{}) {
	before := left.Load()
	for {
		select {
		case <-stop:
			return
		default:
		}
		if steps := (before - left.Load()) / mixedOpsATick; steps > 0 {
			before -= steps * mixedOpsATick
			h.clock.advance(time.Duration(steps) * mixedTick)
		}
		snap, err := h.Snapshot(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		for i := range accounts {
			rec.count(snap.Accounts[i].Account.ID, int(snap.Accounts[i].Load.InUse))
		}
		if snap.Usage.Leases < 0 || snap.Usage.TenantLeases < 0 {
			t.Errorf("usage %+v", snap.Usage)
		}
	}
}

func (w *mixedWorker) run() {
	for w.left.Add(-1) >= 0 {
		switch n := w.rand.IntN(20); {
		case n < 7 || len(w.mine) == 0:
			w.ask(context.Background(), w.request())
		case n < 9:
			w.cancel()
		case n < 10:
			w.repeat()
		case n < 16:
			w.give(w.pick())
		case n < 17:
			w.renew()
		case n < 18:
			w.forget()
		case n < 19:
			w.releaseUnseen()
		default:
			w.late()
		}
	}
}

func (w *mixedWorker) request() core.Request {
	w.asked++
	req := core.Request{
		Group: "limited", Tenant: "acme", Owner: core.Owner{Name: w.name}, RequestID: strconv.Itoa(w.asked),
		Alternates: w.rand.IntN(3), Explain: w.rand.IntN(10) == 0,
	}
	switch w.rand.IntN(4) {
	case 0:
		req.SessionHash = strconv.Itoa(w.rand.IntN(20))
	case 1:
		req.PreviousResponseID = strconv.Itoa(w.rand.IntN(20))
	case 2:
		req.Group, req.RequestID = "", ""
	}
	return req
}

// ask selects, and keeps what it gets.
func (w *mixedWorker) ask(ctx context.Context, req core.Request) {
	answer, err := w.h.Select(ctx, &req)
	if err != nil {
		if !errors.Is(err, context.Canceled) && core.KindOf(err) != core.KindRequestReleased {
			w.t.Error(err)
		}
		return
	}
	if sel := answer.Selection; sel != nil {
		w.got(sel, req)
	}
}

// got takes up a lease that a Select gave, unless it has it already.
func (w *mixedWorker) got(sel *core.Selection, req core.Request) {
	w.rec.held(sel.Account.ID, sel.Token, sel.ExpiresAt)
	l := mixedLease{sel.Account.ID, sel.Token, req}
	if id := req.RequestID; id != "" {
		if slices.ContainsFunc(w.of[id], func(o mixedLease) bool { return o.token == l.token }) {
			return
		}
		w.of[id] = append(w.of[id], l)
	}
	w.mine = append(w.mine, l)
}

// cancel selects under a context that ends somewhere on the way; sometimes it asks again.
func (w *mixedWorker) cancel() {
	req, ctx := w.request(), &fickle{Context: context.Background()}
	ctx.looks.Store(int32(w.rand.IntN(4)))
	w.ask(ctx, req)
	if w.rand.IntN(2) == 0 {
		w.ask(context.Background(), req)
	}
}

// repeat asks for a lease that it has, twice at once.
func (w *mixedWorker) repeat() {
	l := w.pick()
	if l.request.RequestID == "" {
		w.give(l)
		return
	}
	var twin sync.WaitGroup
	answers := make([]*core.Answer, 2)
	for i := range answers {
		twin.Go(func() {
			req := l.request
			var err error
			if answers[i], err = w.h.Select(context.Background(), &req); err != nil && core.KindOf(err) != core.KindRequestReleased {
				w.t.Error(err)
			}
		})
	}
	twin.Wait()
	w.mine = append(w.mine, l)
	for _, answer := range answers {
		if answer != nil && answer.Selection != nil {
			w.got(answer.Selection, l.request)
		}
	}
}

// pick takes one lease out of those that it has.
func (w *mixedWorker) pick() mixedLease {
	i := w.rand.IntN(len(w.mine))
	l := w.mine[i]
	w.mine[i] = w.mine[len(w.mine)-1]
	w.mine = w.mine[:len(w.mine)-1]
	return l
}

// give reports a lease to its end, sometimes more than once.
func (w *mixedWorker) give(l mixedLease) {
	events := []core.Event{
		{Kind: core.EventFirstToken, Token: l.token, TTFT: time.Duration(w.rand.IntN(5)) * time.Millisecond},
		{Kind: core.EventSwitched, Token: l.token},
		{Kind: core.EventFinished, Token: l.token, Outcome: core.Outcome(1 + w.rand.IntN(6)), ResponseID: strconv.Itoa(w.rand.IntN(20))},
		{Kind: core.EventUnused, Token: l.token},
	}
	events = events[w.rand.IntN(4):]
	w.rec.letGo(l.account, l.token)
	w.report(events...)
	if w.past = append(w.past, l); len(w.past) > 50 {
		w.past = w.past[1:]
	}
}

// renew gives a lease another life; the recorder hears of it only when it is sure.
func (w *mixedWorker) renew() {
	l := w.mine[w.rand.IntN(len(w.mine))]
	results, err := w.h.Renew(context.Background(), []string{l.token, l.token[1:]}, mixedTTL)
	if err != nil || results[1].Status != core.EventTokenInvalid {
		w.t.Errorf("renewals %+v, error %v", results, err)
		return
	}
	if results[0].Status == core.EventApplied {
		w.rec.held(l.account, l.token, results[0].ExpiresAt)
	}
}

// forget leaves a lease to its end; its report may come late.
func (w *mixedWorker) forget() {
	if w.past = append(w.past, w.pick()); len(w.past) > 50 {
		w.past = w.past[1:]
	}
}

// releaseUnseen releases by request id: one that it has, or one that it will ask for next and then not get.
func (w *mixedWorker) releaseUnseen() {
	req := w.request()
	if w.rand.IntN(2) == 0 {
		req = w.pick().request
	}
	if req.RequestID == "" {
		return
	}
	for _, l := range w.of[req.RequestID] {
		w.rec.letGo(l.account, l.token)
	}
	w.report(core.Event{Kind: core.EventUnused, Request: requestName(req).ref()})
	again := req
	if answer, err := w.h.Select(context.Background(), &again); err == nil || core.KindOf(err) != core.KindRequestReleased {
		w.t.Errorf("after its release: %+v, error %v", answer, err)
	}
}

// late reports on what was given back or forgotten before.
func (w *mixedWorker) late() {
	if len(w.past) == 0 {
		return
	}
	l := w.past[w.rand.IntN(len(w.past))]
	w.rec.letGo(l.account, l.token)
	w.report(finished(l.token, core.OutcomeSuccess), core.Event{Kind: core.EventUnused, Token: l.token})
}

func (w *mixedWorker) report(events ...core.Event) {
	results, err := w.h.Report(context.Background(), events)
	if err != nil || len(results) != len(events) {
		w.t.Errorf("%d results for %d events, error %v", len(results), len(events), err)
		return
	}
	for _, r := range results {
		if r.Status == core.EventTokenInvalid || r.Status == core.EventUnknown {
			w.t.Errorf("status %d", r.Status)
		}
	}
}
