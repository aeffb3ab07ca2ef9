package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testClock moves only when it is told to, and fires what is due then.
type testClock struct {
	// step is added before each reading, so that work takes time.
	step time.Duration

	// mu guards what follows.
	mu     sync.Mutex
	now    time.Time
	timers map[*testTimer]struct{}
}

type testTimer struct {
	at    time.Time
	fired chan time.Time
}

func newTestClock() *testClock {
	return &testClock{now: testStart, timers: map[*testTimer]struct{}{}}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

func (c *testClock) After(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	timer := &testTimer{at: c.now.Add(d), fired: make(chan time.Time, 1)}
	c.timers[timer] = struct{}{}
	return timer.fired, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, timer)
	}
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for timer := range c.timers {
		if !c.now.Before(timer.at) {
			timer.fired <- c.now
			delete(c.timers, timer)
		}
	}
}

// seeded gives words that look random and are the same in every run. Safe for concurrent use.
func seeded(seed uint64) func() uint64 {
	var mu sync.Mutex
	source := rand.NewPCG(seed, seed)
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return source.Uint64()
	}
}

// house is the real scheduler on the memory store, with time and chance in a test's hands.
type house struct {
	*core.Scheduler
	tb    testing.TB
	clock *testClock
	store *memstore.Store
	// policy is what apply uses.
	policy decide.Policy
	// section is what settle hands to the scheduler.
	section []byte
}

type houseOption func(*house, *core.Options)

// over puts a store of the test's own between scheduler and memory store.
func over(wrap func(core.Store) core.Store) houseOption {
	return func(_ *house, o *core.Options) { o.Store = wrap(o.Store) }
}

func under(change func(*decide.Policy)) houseOption {
	return func(h *house, _ *core.Options) { change(&h.policy) }
}

func with(change func(*core.Options)) houseOption {
	return func(_ *house, o *core.Options) { change(o) }
}

func newHouse(tb testing.TB, accounts []pool.Account, options ...houseOption) *house {
	tb.Helper()
	h := &house{tb: tb, clock: newTestClock(), policy: decide.Reference()}
	var err error
	if h.store, err = memstore.New(memstore.Options{Clock: h.clock, Secret: make([]byte, 32)}); err != nil {
		tb.Fatal(err)
	}
	opts := core.Options{Store: h.store, Clock: h.clock, Entropy: seeded(1), HistoryBytes: 1 << 20}
	for _, option := range options {
		option(h, &opts)
	}
	if h.Scheduler, err = core.New(context.Background(), opts); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := h.store.Close(); err != nil {
			tb.Error(err)
		}
	})
	h.apply(accounts...)
	return h
}

func (h *house) apply(accounts ...pool.Account) {
	h.tb.Helper()
	if err := h.Apply(context.Background(), accounts, h.policy); err != nil {
		h.tb.Fatal(err)
	}
}

// ask runs a Select that must not fail.
func (h *house) ask(req core.Request) *core.Answer {
	h.tb.Helper()
	answer, err := h.Select(context.Background(), &req)
	if err != nil {
		h.tb.Fatal(err)
	}
	return answer
}

// take runs a Select that must select, and gives it.
func (h *house) take(req core.Request) *core.Selection {
	h.tb.Helper()
	answer := h.ask(req)
	if answer.Selection == nil {
		h.tb.Fatalf("no selection but %s", describe(answer))
	}
	return answer.Selection
}

// chooses checks whom a Select takes, and by which layer.
func (h *house) chooses(req core.Request, layer decide.Layer, account string) *core.Selection {
	h.tb.Helper()
	answer := h.ask(req)
	if answer.Selection == nil || answer.Selection.Account.ID != account || answer.Decision.Layer != layer {
		h.tb.Fatalf("want %s by %v, got %s", account, layer, describe(answer))
	}
	return answer.Selection
}

// refused checks that a Select is refused.
func (h *house) refused(req core.Request, reason core.RefusalReason) *core.Refusal {
	h.tb.Helper()
	answer := h.ask(req)
	if answer.Refusal == nil || answer.Refusal.Reason != reason {
		h.tb.Fatalf("want refusal %d, got %s", reason, describe(answer))
	}
	return answer.Refusal
}

// report applies one event.
func (h *house) report(e core.Event) core.EventResult {
	h.tb.Helper()
	results, err := h.Report(context.Background(), []core.Event{e})
	if err != nil {
		h.tb.Fatal(err)
	}
	return results[0]
}

// reports checks the status of one event.
func (h *house) reports(e core.Event, want core.EventStatus) core.EventResult {
	h.tb.Helper()
	result := h.report(e)
	if result.Status != want {
		h.tb.Fatalf("event %d of %d: status %d, want %d", e.Kind, e.Outcome, result.Status, want)
	}
	return result
}

func (h *house) release(tokens ...string) {
	h.tb.Helper()
	for _, token := range tokens {
		h.reports(core.Event{Kind: core.EventUnused, Token: token}, core.EventApplied)
	}
}

// bindResponse binds a response id to an account, by a request that excludes all others.
func (h *house) bindResponse(req core.Request, account, responseID string) {
	h.tb.Helper()
	token := h.on(req, account)
	result := h.reports(core.Event{
		Kind: core.EventFinished, Token: token, Outcome: core.OutcomeCancelled, ResponseID: responseID,
	}, core.EventApplied)
	if !result.Bound {
		h.tb.Fatalf("response %q was not bound", responseID)
	}
}

// on takes a slot of one account, which is the only one that the request leaves.
func (h *house) on(req core.Request, account string) string {
	h.tb.Helper()
	for _, a := range h.state().Accounts {
		if a.Account.ID != account {
			req.Excluded = append(req.Excluded, a.Account.ID)
		}
	}
	sel := h.take(req)
	if sel.Account.ID != account {
		h.tb.Fatalf("took %s, want %s", sel.Account.ID, account)
	}
	return sel.Token
}

func (h *house) state() *core.Snapshot {
	h.tb.Helper()
	snap, err := h.Snapshot(context.Background())
	if err != nil {
		h.tb.Fatal(err)
	}
	return snap
}

func (h *house) account(id string) core.AccountSnapshot {
	h.tb.Helper()
	for _, a := range h.state().Accounts {
		if a.Account.ID == id {
			return a
		}
	}
	h.tb.Fatalf("no account %s", id)
	return core.AccountSnapshot{}
}

// inUse checks the leases of all accounts together, by counts and by records.
func (h *house) inUse(want int) {
	h.tb.Helper()
	snap, sum := h.state(), 0
	for _, a := range snap.Accounts {
		sum += int(a.Load.InUse)
	}
	if sum != want || snap.Usage.Leases != want {
		h.tb.Fatalf("in use %d, leases %d, want %d", sum, snap.Usage.Leases, want)
	}
}

// plain gives accounts of one group, provider and limit, named a, b, c…
func plain(n, limit int) []pool.Account {
	out := make([]pool.Account, n)
	for i := range out {
		out[i] = pool.Account{
			ID: string(rune('a' + i)), Provider: "openai", Groups: []string{"main"}, MaxConcurrency: limit,
		}
	}
	return out
}

// ranked is plain with priorities in the order of the ids.
func ranked(n, limit int) []pool.Account {
	out := plain(n, limit)
	for i := range out {
		out[i].Priority = i
	}
	return out
}

func describe(a *core.Answer) string {
	d := &a.Decision
	text := fmt.Sprintf("layer %v, response %v, session %v: ", d.Layer, d.Response, d.Session)
	switch {
	case a.Selection != nil:
		return text + "selection of " + a.Selection.Account.ID
	case a.WaitPlan != nil:
		return text + fmt.Sprintf("wait plan %+v on %s", *a.WaitPlan, a.WaitPlan.Account.ID)
	default:
		return text + fmt.Sprintf("refusal %+v", *a.Refusal)
	}
}

func ids(accounts []core.Alternate) []string {
	var out []string
	for _, a := range accounts {
		out = append(out, a.Account.ID)
	}
	return out
}

func equal[T comparable](tb testing.TB, what string, got, want []T) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func isKind(tb testing.TB, err error, want core.Kind) {
	tb.Helper()
	if err == nil || core.KindOf(err) != want {
		tb.Fatalf("error %v (kind %d), want kind %d", err, core.KindOf(err), want)
	}
}
