package server

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core/decide"
	usherv1 "usher.internal/gen/usher/v1"
)

// crowd is Selects that stand in the real line, on one connection.
type crowd struct {
	all sync.WaitGroup
	// answers and errs are guarded by mu.
	mu      sync.Mutex
	answers []*usherv1.SelectResponse
	errs    []error
}

// gather starts n Selects that wait, and returns when all stand in line.
func gather(ctx context.Context, tb testing.TB, w *world, n int) *crowd {
	tb.Helper()
	c := &crowd{}
	for range n {
		c.all.Go(func() {
			r, err := w.scheduler.Select(ctx, &usherv1.SelectRequest{Wait: durationpb.New(time.Hour)})
			c.mu.Lock()
			defer c.mu.Unlock()
			c.answers, c.errs = append(c.answers, r), append(c.errs, err)
		})
	}
	for w.waiting(tb) < n {
		runtime.Gosched()
	}
	return c
}

func (w *world) waiting(tb testing.TB) int {
	tb.Helper()
	snap, err := w.core.Snapshot(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return snap.Usage.Waiting
}

// longLine raises the plan's bounds.
func longLine(tb testing.TB, w *world, limit int) {
	tb.Helper()
	policy := decide.Reference()
	policy.FallbackWait = decide.Wait{Timeout: time.Hour, MaxWaiting: 1 << 20}
	if err := w.core.Apply(tb.Context(), accounts(1, limit), policy); err != nil {
		tb.Fatal(err)
	}
}

func TestTenThousandWaitOnTheConnectionOfAReport(t *testing.T) {
	w := newImpatient(t, 1)
	token := w.lease(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := gather(ctx, t, w.world, 10_000)
	r, err := w.scheduler.Report(within(t), report(about(token, succeeded())))
	if err != nil || r.GetResults()[0].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("the report was answered %v, %v", r, err)
	}
	for w.waiting(t) != 9_999 {
		runtime.Gosched()
	}
	cancel()
	c.all.Wait()
	for w.waiting(t) != 0 {
		runtime.Gosched()
	}
	// The one that was served is answered, or gave its slot back when it was cancelled on its way; an answer
	// that had left the server may have met the cancellation.
	served := 0
	for _, r := range c.answers {
		if s := r.GetSelection(); s != nil {
			served++
			if s.GetLine().GetJoinedAt() == 0 || s.GetLine().GetWokenBy() != usherv1.WakeReason_WAKE_REASON_RELEASE {
				t.Errorf("stood in line as %v", s.GetLine())
			}
		}
	}
	answered := len(w.answered.list()) - 1 // the first lease was too
	if held := w.inUse(t); served > 1 || answered > 1 || served > answered || held > answered {
		t.Errorf("%d served, %d answered, %d in use", served, answered, held)
	}
}

// TestReleaseByRequestIDEndsTheWait: whoever gives a request up while its Select still waits hears of it at once.
func TestReleaseByRequestIDEndsTheWait(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{})
	w.lease(t)
	done := make(chan error, 2)
	for range cap(done) {
		go func() {
			_, err := w.scheduler.Select(within(t), &usherv1.SelectRequest{RequestId: "r", Wait: durationpb.New(time.Hour)})
			done <- err
		}()
	}
	for w.waiting(t) < cap(done) {
		runtime.Gosched()
	}
	r, err := w.scheduler.Report(within(t), report(released(&usherv1.RequestRef{RequestId: "r"})))
	if err != nil || r.GetResults()[0].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_RELEASE_RECORDED {
		t.Fatalf("the release was answered %v, %v", r, err)
	}
	for range cap(done) {
		if err := await(t, done); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a waiting Select ended with %v", err)
		}
	}
}

// TestCappedTenantWaits: for a slot of its own, though there is room.
func TestCappedTenantWaits(t *testing.T) {
	w := newWorld(t, nil, Options{})
	policy := decide.Reference()
	policy.Tenants.Default.MaxLeases = 1
	if err := w.core.Apply(t.Context(), accounts(1, 5), policy); err != nil {
		t.Fatal(err)
	}
	token := w.lease(t)
	c := gather(t.Context(), t, w, 1)
	if r, err := w.scheduler.Select(within(t), &usherv1.SelectRequest{}); err != nil ||
		r.GetRefusal().GetReason() != usherv1.RefusalReason_REFUSAL_REASON_TENANT_LIMIT || r.GetRefusal().GetLimit() != 1 {
		t.Errorf("without a wait: %v, %v", r, err)
	}
	if _, err := w.scheduler.Report(within(t), report(about(token, succeeded()))); err != nil {
		t.Error(err)
	}
	c.all.Wait()
	if c.errs[0] != nil || c.answers[0].GetSelection() == nil {
		t.Errorf("answered %v, %v", c.answers[0], c.errs[0])
	}
}

func TestWaitEndsBeforeTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, accounts(1, 1), Options{})
		w.lease(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r, err := w.scheduler.Select(ctx, &usherv1.SelectRequest{Wait: durationpb.New(30 * time.Second)})
		if err != nil || r.GetRefusal().GetReason() != usherv1.RefusalReason_REFUSAL_REASON_WAIT_TIMEOUT || r.GetRefusal().GetPlaceInLine() != 1 {
			t.Errorf("answered %v, %v", r, err)
		}
	})
}

func TestDrainEndsWaits(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{})
	token := w.lease(t)
	c := gather(t.Context(), t, w, 3)
	drained := make(chan error, 1)
	go func() { drained <- w.server.Drain(within(t)) }()
	c.all.Wait()
	for _, err := range c.errs {
		if status.Code(err) != codes.Unavailable {
			t.Errorf("a waiting Select ended with %v", err)
		}
	}
	// What is held may still be reported, and then the drain is over.
	if _, err := w.scheduler.Report(within(t), report(about(token, succeeded()))); err != nil {
		t.Error(err)
	}
	if err := await(t, drained); err != nil {
		t.Error(err)
	}
}
