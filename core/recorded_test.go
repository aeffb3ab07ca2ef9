package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/internal/conformance"
	"usher.internal/core/pool"
)

// stillClock is a clock that moves only when a test moves it, and never fires.
type stillClock struct{ now time.Time }

func (c *stillClock) Now() time.Time                                 { return c.now }
func (c *stillClock) After(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }

var recordStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// recordedWorld is the real scheduler on the recorded store.
type recordedWorld struct {
	t        testing.TB
	s        *Scheduler
	store    *recordedStore
	clock    *stillClock
	world    *conformance.World
	accounts []pool.Account
}

func newRecordedWorld(t testing.TB, w *conformance.World) *recordedWorld {
	clock := &stillClock{recordStart}
	r := &recordedWorld{t: t, clock: clock, world: w, store: newRecordedStore(w, recordStart), accounts: w.Pool(recordStart)}
	var words uint64
	s, err := New(context.Background(), Options{
		Store: r.store, Clock: clock, HistoryBytes: 1 << 20,
		Entropy: func() uint64 { words++; return words * 0x9e3779b97f4a7c15 },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.s = s
	r.apply()
	for _, sample := range w.Reports {
		r.report(sample)
	}
	return r
}

func (r *recordedWorld) close() {
	if err := r.s.Close(context.Background()); err != nil {
		r.t.Error(err)
	}
}

func (r *recordedWorld) apply() {
	if err := r.s.Apply(context.Background(), r.accounts, r.world.Policy()); err != nil {
		r.t.Fatal(err)
	}
}

// report takes in an outcome for an account, whether leased or not.
func (r *recordedWorld) report(s conformance.Sample) {
	if !conformance.Positive(s.AccountID) {
		return
	}
	sm := sample{outcome: true, failed: !s.Success}
	if s.FirstTokenMS != nil {
		sm.ttft = float64(*s.FirstTokenMS)
	}
	r.s.stats.observe(r.s.registry.ordinal(s.AccountID), sm, r.s.registry.current.Load().policy, r.clock.now)
}

// know tells the store what the keys of a request stand for.
func (r *recordedWorld) know(q *decide.Request, group *string) {
	r.store.know(keySession, group, strings.TrimSpace(q.SessionHash))
	r.store.know(keyResponse, group, strings.TrimSpace(q.ResponseID))
}

// choose runs one Select and gives its result as records have it, and the token.
func (r *recordedWorld) choose(q *conformance.Request) (conformance.Result, string) {
	asked := q.Decide()
	r.know(&asked, q.GroupID)
	r.store.excluded = q.Excluded
	answer, err := r.s.Select(context.Background(), &Request{
		Group: asked.Group, SessionHash: asked.SessionHash, PreviousResponseID: asked.ResponseID, Model: asked.Model,
		Transport: asked.Transport, Provider: asked.Provider, Excluded: asked.Excluded, Explain: true,
	})
	var out conformance.Result
	if err != nil {
		text := err.Error()
		out.Error = &text
		return out, ""
	}
	d := &answer.Decision
	out.Decision = conformance.Decision{
		Layer: d.Layer.String(), StickyPreviousHit: d.PreviousHit, StickySessionHit: d.SessionHit,
		CandidateCount: d.CandidateCount, TopK: d.TopK, LoadSkew: conformance.Exact(d.LoadSkew),
	}
	out.SelectionOrder = drawnOrder(d.Verdicts)
	switch {
	case answer.Refusal != nil:
		text := fmt.Sprint("refused: ", answer.Refusal.Reason)
		out.Error = &text
	case answer.WaitPlan != nil:
		p := answer.WaitPlan
		out.AccountID = &p.Account.ID
		out.WaitPlan = &conformance.WaitPlan{
			AccountID: p.Account.ID, MaxConcurrency: p.Account.MaxConcurrency,
			TimeoutMS: p.Timeout.Milliseconds(), MaxWaiting: p.MaxWaiting,
		}
	default:
		out.AccountID, out.Acquired = &answer.Selection.Account.ID, true
		return out, answer.Selection.Token
	}
	return out, ""
}

// drawnOrder reads the order in which accounts were tried off the verdicts.
func drawnOrder(verdicts []decide.Verdict) []string {
	var order []string
	for place := 1; ; place++ {
		before := len(order)
		for i := range verdicts {
			if verdicts[i].Drawn == place {
				order = append(order, verdicts[i].Account.ID)
			}
		}
		if len(order) == before {
			return order
		}
	}
}

func checkSelect(t testing.TB, c *conformance.SelectCase) conformance.Outcome {
	want := &c.Expected.Result
	departs := conformance.NewTrace(&c.World).Departure(&c.Request, want, c.Tags)
	if !departs.Compares() {
		return conformance.Outcome{Skip: departs.Name}
	}
	r := newRecordedWorld(t, &c.World)
	defer r.close()
	got, _ := r.choose(&c.Request)
	after := r.store.state(&c.World)
	return conformance.Outcome{Skip: departs.Name, Differences: departs.Diff(want, &got, &c.Expected.After, &after)}
}

func TestConformance(t *testing.T) {
	dir, files, err := conformance.Choose("internal/conformance/testdata", "select", "sequence")
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(files, "select") {
		report, err := conformance.Run(dir, "select", func(c *conformance.SelectCase) conformance.Outcome { return checkSelect(t, c) })
		passes(t, report, err, 0.25)
	}
	if slices.Contains(files, "sequence") {
		ops := conformance.NewReport("sequence")
		_, err := conformance.Each(dir, "sequence", func(c *conformance.SequenceCase) error {
			checkSequence(t, c, ops)
			return nil
		})
		passes(t, ops, err, 0.45)
	}
}

// checkSequence compares operation by operation up to the first at which a
// departure applies, and the final figures when none did.
func checkSequence(t testing.TB, c *conformance.SequenceCase, ops *conformance.Report) {
	r := newRecordedWorld(t, &c.World)
	defer r.close()
	trace := conformance.NewTrace(&c.World)
	tokens := make([]string, len(c.Ops))
	for i := range c.Ops {
		op := &c.Ops[i]
		if op.Op != conformance.OpSelect {
			r.operate(op, tokens, trace, c.Ops)
			ops.Add(c.Index, i, conformance.Outcome{})
			continue
		}
		departs := trace.Departure(op.Request, op.Expected, nil)
		outcome := conformance.Outcome{Skip: departs.Name}
		if departs.Compares() {
			var got conformance.Result
			got, tokens[i] = r.choose(op.Request)
			outcome.Differences = departs.Diff(op.Expected, &got, nil, nil)
		}
		ops.Add(c.Index, i, outcome)
		if departs.Name != "" {
			for rest := i + 1; rest < len(c.Ops); rest++ {
				ops.Add(c.Index, rest, conformance.Outcome{Skip: "after_" + departs.Name})
			}
			return
		}
		trace.Selected(op.Request, op.Expected)
	}
	after, metrics := r.store.state(&c.World), r.metrics()
	ops.Compare(c.Index, conformance.DiffState(&c.Final.After, &after))
	ops.Compare(c.Index, conformance.DiffMetrics(&c.Final.Metrics, &metrics))
	ops.Compare(c.Index, conformance.DiffStats(c.Final.Stats, r.learned()))
}

// operate carries out an operation that has no result.
func (r *recordedWorld) operate(op *conformance.Op, tokens []string, trace *conformance.Trace, all []conformance.Op) {
	var released *conformance.Result
	switch op.Op {
	case conformance.OpRelease:
		if _, err := r.s.Report(context.Background(), []Event{{Kind: EventUnused, Token: tokens[op.SelectOp]}}); err != nil {
			r.t.Fatal(err)
		}
		released = all[op.SelectOp].Expected
	case conformance.OpReport:
		r.report(op.Sample)
	case conformance.OpReportSwitch:
		r.s.counters.switched()
	case conformance.OpBindResponse:
		if id := strings.TrimSpace(op.ResponseID); id != "" && conformance.Positive(op.AccountID) {
			r.store.know(keyResponse, op.GroupID, id)
			key := bindingKey(keyResponse, "", conformance.Group(op.GroupID), id)
			r.store.bindResponse(key, op.AccountID, time.Duration(conformance.BindTTL(op))*time.Millisecond)
		}
	case conformance.OpSetSchedulable:
		for i := range r.accounts {
			if r.accounts[i].ID == op.AccountID {
				r.accounts[i].Unschedulable = !op.Value
			}
		}
		r.apply()
	case conformance.OpSetWaiting:
		if ordinal, ok := r.store.ordinals[op.AccountID]; ok {
			r.store.waiting[ordinal] = op.Waiting
		}
	case conformance.OpAdvance:
		r.clock.now = r.clock.now.Add(time.Duration(op.AdvanceMS) * time.Millisecond)
		r.store.now = r.clock.now
	default:
		r.t.Fatalf("unknown operation %q", op.Op)
	}
	trace.Apply(op, released)
}

// metrics gives the figures as records have them.
func (r *recordedWorld) metrics() conformance.Metrics {
	m := r.s.counters.totals(r.s.stats.accounts())
	return conformance.Metrics{
		SelectTotal: int64(m.Selects), StickyPreviousHits: int64(m.PreviousHits), StickySessionHits: int64(m.SessionHits),
		LoadBalanceSelects: int64(m.LoadBalanced), AccountSwitches: int64(m.Switches),
		StickyHitRatio: conformance.Exact(m.StickyHitRatio), AccountSwitchRate: conformance.Exact(m.SwitchRate),
		LoadSkewAvg: conformance.Exact(m.LoadSkewAvg), RuntimeStatsAccounts: m.StatAccounts,
	}
}

func (r *recordedWorld) learned() []conformance.StatEntry {
	var out []conformance.StatEntry
	stat := make([]decide.Stat, 1)
	for i := range r.world.Accounts {
		id := r.world.Accounts[i].ID
		r.s.stats.gather([]int32{r.s.registry.ordinal(id)}, stat, r.s.registry.current.Load().policy, r.clock.now)
		out = append(out, conformance.NewStatEntry(id, stat[0]))
	}
	return out
}

// passes prints a file's line and fails on a difference, a record unaccounted for, or too many skipped.
func passes(t *testing.T, r *conformance.Report, err error, most float64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(r)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if share := float64(r.SkippedTotal()) / float64(r.Total); share > most {
		t.Errorf("%s: %.1f %% skipped, at most %.0f %% may be", r.File, share*100, most*100)
	}
}
