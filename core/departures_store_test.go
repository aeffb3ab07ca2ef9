package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// brokenStore fails the calls it is told to, before or after they were carried out.
type brokenStore struct {
	core.Store
	bound, first, settle, register, loads atomic.Bool
	// late lets the call through first, as when an answer is lost.
	late atomic.Bool
}

var errBroken = &core.Error{Kind: core.KindStoreUnavailable, Text: "out of reach"}

// fails tells whether a call fails, having carried it out if its answer is to be lost.
func (s *brokenStore) fails(flag *atomic.Bool, do func()) bool {
	if !flag.Load() {
		return false
	}
	if s.late.Load() {
		do()
	}
	return true
}

func (s *brokenStore) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	if s.fails(&s.bound, func() { _, _ = s.Store.TakeBound(ctx, take) }) {
		return core.BoundTaken{}, errBroken
	}
	return s.Store.TakeBound(ctx, take)
}

func (s *brokenStore) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	if s.fails(&s.first, func() { _, _ = s.Store.TakeFirst(ctx, take) }) {
		return core.FirstTaken{}, errBroken
	}
	return s.Store.TakeFirst(ctx, take)
}

func (s *brokenStore) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	if s.fails(&s.settle, func() { _ = s.Store.Settle(ctx, events, results) }) {
		return errBroken
	}
	return s.Store.Settle(ctx, events, results)
}

func (s *brokenStore) Register(ctx context.Context, roster *core.Roster) error {
	if s.register.Load() {
		return errBroken
	}
	return s.Store.Register(ctx, roster)
}

func (s *brokenStore) Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error {
	if s.loads.Load() {
		return errBroken
	}
	return s.Store.Loads(ctx, ordinals, loads)
}

func brokenHouse(t *testing.T, n, limit int) (*house, *brokenStore) {
	t.Helper()
	broken := &brokenStore{}
	h := newHouse(t, plain(n, limit), over(func(s core.Store) core.Store {
		broken.Store = s
		return broken
	}))
	return h, broken
}

// fault_injection: the record turns a store's error into a deleted binding or into "not
// bound". Here it is an error that says so, and every binding stands when the store is back.
func TestDepartureStoreErrorsDeleteNothing(t *testing.T) {
	h, broken := brokenHouse(t, 2, 0)
	h.bindResponse(mainRequest, "a", "resp")
	h.release(h.on(inSession("conv"), "b"))
	for _, flags := range [][]*atomic.Bool{{&broken.bound}, {&broken.first}, {&broken.bound, &broken.first}} {
		for _, flag := range flags {
			flag.Store(true)
		}
		for _, req := range []core.Request{afterResponse("resp"), inSession("conv"), mainRequest} {
			// Where only the second call fails, hits are still served.
			answer, err := h.Select(context.Background(), &req)
			if err == nil {
				if answer.Decision.Layer == decide.LayerLoadBalance {
					t.Error(describe(answer))
				}
				h.release(answer.Selection.Token)
				continue
			}
			isKind(t, err, core.KindStoreUnavailable)
			if !errors.Is(err, errBroken) {
				t.Errorf("the cause is lost: %v", err)
			}
		}
		for _, flag := range flags {
			flag.Store(false)
		}
		h.release(h.chooses(afterResponse("resp"), decide.LayerResponse, "a").Token)
		h.release(h.chooses(inSession("conv"), decide.LayerSession, "b").Token)
	}
	h.inUse(0)
}

// A failed Select reports the load-balance layer, with the figures it had got to.
func TestStoreErrorIsRecorded(t *testing.T) {
	h, broken := brokenHouse(t, 3, 0)
	broken.first.Store(true)
	_, err := h.Select(context.Background(), &mainRequest)
	isKind(t, err, core.KindStoreUnavailable)
	records := h.Decisions(core.DecisionFilter{Outcome: core.OutcomeFailed})
	if len(records) != 1 {
		t.Fatalf("%d failures recorded", len(records))
	}
	d := records[0].Decision
	if d.Layer != decide.LayerLoadBalance || d.CandidateCount != 3 || d.TopK != 3 || records[0].Account != "" {
		t.Errorf("recorded %+v", records[0])
	}
	snap := h.state()
	if snap.Totals.Selects != 1 || snap.Totals.LoadBalanced != 1 || snap.Totals.AnsweredLatencyAvg != 0 {
		t.Errorf("totals %+v", snap.Totals)
	}
	want := core.SelectCount{Layer: decide.LayerLoadBalance, Outcome: core.OutcomeFailed, Total: 1}
	if len(snap.Selects) != 1 || snap.Selects[0] != want {
		t.Errorf("counts %+v", snap.Selects)
	}
}

// A take whose answer was lost holds a slot nobody knows of; the retry by request id finds it.
func TestLostAnswerIsFoundByRequestID(t *testing.T) {
	h, broken := brokenHouse(t, 1, 1)
	req := mainRequest
	req.RequestID = "r1"
	broken.first.Store(true)
	broken.late.Store(true)
	_, err := h.Select(context.Background(), &req)
	isKind(t, err, core.KindStoreUnavailable)
	h.inUse(1)
	broken.first.Store(false)
	answer := h.ask(req)
	if answer.Selection == nil || !answer.Decision.Repeated {
		t.Fatal(describe(answer))
	}
	h.inUse(1)
	h.release(answer.Selection.Token)
	h.inUse(0)
}

// A Report that failed can be sent again whole, whether or not it was carried out.
func TestFailedReportCanBeSentAgain(t *testing.T) {
	for _, late := range []bool{false, true} {
		h, broken := brokenHouse(t, 1, 1)
		broken.late.Store(late)
		token := h.take(mainRequest).Token
		events := []core.Event{{Kind: core.EventFinished, Token: token, Outcome: core.OutcomeSuccess}}
		broken.settle.Store(true)
		_, err := h.Report(context.Background(), events)
		isKind(t, err, core.KindStoreUnavailable)
		_, err = h.Select(context.Background(), &core.Request{Group: "main", Reports: events})
		isKind(t, err, core.KindStoreUnavailable)
		broken.settle.Store(false)
		want := core.EventApplied
		if late {
			want = core.EventAlreadyReleased
		}
		h.reports(events[0], want)
		h.inUse(0)
	}
}

// Apply and Snapshot say what the store says.
func TestStoreErrorsOfApplyAndSnapshot(t *testing.T) {
	h, broken := brokenHouse(t, 1, 1)
	broken.register.Store(true)
	isKind(t, h.Apply(context.Background(), plain(2, 1), h.policy), core.KindStoreUnavailable)
	broken.register.Store(false)
	if n := len(h.state().Accounts); n != 1 {
		t.Errorf("%d accounts after a failed Apply", n)
	}
	broken.loads.Store(true)
	_, err := h.Snapshot(context.Background())
	isKind(t, err, core.KindStoreUnavailable)
}
