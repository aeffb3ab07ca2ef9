package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"usher.internal/core"
	"usher.internal/core/pool"
	usherv1 "usher.internal/gen/usher/v1"
)

func TestLifeOfARequest(t *testing.T) {
	w := newWorld(t, accounts(2, 1), Options{})
	r, err := w.scheduler.Select(t.Context(), &usherv1.SelectRequest{Group: "g", SessionHash: "s", Alternates: 3, Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	s := r.GetSelection()
	if s.GetAccountId() == "" || s.GetLeaseToken() == "" || len(s.GetAlternates()) != 1 || len(r.GetDecision().GetVerdicts()) != 2 {
		t.Fatalf("got %v", r)
	}
	if n := w.inUse(t); n != 1 {
		t.Errorf("%d in use, want 1", n)
	}
	got, err := w.scheduler.Report(t.Context(), report(
		about(s.GetLeaseToken(), firstToken()), about(s.GetLeaseToken(), succeeded()), about(s.GetLeaseToken(), succeeded()),
		about("forged", succeeded()), released(&usherv1.RequestRef{RequestId: "never seen"}),
	))
	if err != nil {
		t.Fatal(err)
	}
	var statuses []usherv1.ReportStatus
	for _, x := range got.GetResults() {
		statuses = append(statuses, x.GetStatus())
	}
	want := []usherv1.ReportStatus{
		usherv1.ReportStatus_REPORT_STATUS_APPLIED, usherv1.ReportStatus_REPORT_STATUS_APPLIED, usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED,
		usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID, usherv1.ReportStatus_REPORT_STATUS_RELEASE_RECORDED,
	}
	if !slices.Equal(statuses, want) {
		t.Errorf("got %v, want %v", statuses, want)
	}
	if n := w.inUse(t); n != 0 {
		t.Errorf("%d in use, want 0", n)
	}
	renewed, err := w.scheduler.Renew(t.Context(), &usherv1.RenewRequest{LeaseTokens: []string{s.GetLeaseToken(), w.lease(t)}})
	if err != nil || renewed.GetResults()[0].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED ||
		renewed.GetResults()[1].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED || renewed.GetResults()[1].GetExpiresAt() == nil {
		t.Errorf("renewed: %v, %v", renewed, err)
	}
}

// A bad request is refused whole: nothing of it is applied.
func TestBadRequestsAreRefusedUnapplied(t *testing.T) {
	w := newWorld(t, accounts(1, 2), Options{})
	token := w.lease(t)
	bad := finished(&usherv1.Finished{})
	_, err := w.scheduler.Report(t.Context(), report(about(token, succeeded()), bad))
	checkRefusal(t, refusal{fields: []string{"events[1].finished.outcome"}}, err)
	_, err = w.scheduler.Select(t.Context(), &usherv1.SelectRequest{Reports: report(about(token, succeeded()), bad).GetEvents()})
	checkRefusal(t, refusal{fields: []string{"reports[1].finished.outcome"}}, err)
	_, err = w.scheduler.Select(t.Context(), &usherv1.SelectRequest{Reports: report(about(token, succeeded()), &usherv1.ReportEvent{}).GetEvents()})
	checkRefusal(t, refusal{fields: []string{"reports[1].subject", "reports[1].event"}}, err)
	if n := w.inUse(t); n != 1 {
		t.Errorf("%d in use, want 1", n)
	}
	_, err = w.metrics.Explain(t.Context(), &usherv1.ExplainRequest{DecisionId: "no id"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("Explain: %v", err)
	}
	stream, err := w.metrics.StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{Group: long(129)})
	if err == nil {
		_, err = stream.Recv()
	}
	checkRefusal(t, refusal{fields: []string{"group"}}, err)
}

func TestRefusalsAreAnswers(t *testing.T) {
	w := newWorld(t, accounts(2, 1), Options{})
	for name, req := range map[string]*usherv1.SelectRequest{
		"unknown group": {Group: "nobody's"},
		"all excluded":  {ExcludedAccountIds: []string{"a1", "a2"}},
		"provider":      {Provider: "other"},
	} {
		r, err := w.scheduler.Select(t.Context(), req)
		if err != nil || r.GetRefusal() == nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	w.lease(t)
	w.lease(t)
	if r, err := w.scheduler.Select(t.Context(), &usherv1.SelectRequest{}); err != nil || r.GetWaitPlan() == nil {
		t.Errorf("full: %v, %v", r, err)
	}
}

func TestPanicIsInternalAndLogged(t *testing.T) {
	logged, logs := observer.New(zapcore.DebugLevel)
	calls := 0
	f := &fakeScheduler{onSelect: func(context.Context, *core.Request) (*core.Answer, error) {
		calls++
		switch calls {
		case 1:
			panic("session-abc")
		case 2:
			_ = accountOf(nil).ID
		}
		return &core.Answer{}, nil
	}}
	e := newEdge(t, Options{Scheduler: f, Metrics: noMetrics{}, Logger: zap.New(logged)})
	for range 2 {
		_, err := e.scheduler.Select(t.Context(), &usherv1.SelectRequest{})
		if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != "internal error" {
			t.Errorf("got %v", err)
		}
	}
	if _, err := e.scheduler.Select(t.Context(), &usherv1.SelectRequest{}); err != nil {
		t.Errorf("the next call: %v", err)
	}
	panics := logs.FilterMessage("panic in a handler").All()
	if len(panics) != 2 {
		t.Fatalf("%d panics logged", len(panics))
	}
	if text := fmt.Sprint(panics[1].ContextMap()); !strings.Contains(text, "nil pointer") || !strings.Contains(text, "edge_test.go") {
		t.Errorf("no reason or stack in %s", text)
	}
	if text := fmt.Sprint(logs.All()); strings.Contains(text, "session-abc") {
		t.Error("the panic's own text was logged")
	}
	if got := e.server.telemetry.Calls(); len(got) != 2 || got[1].Code != codes.Internal || got[1].Total != 2 {
		t.Errorf("counted %+v", got)
	}
}

func accountOf(s *core.Selection) *pool.Account { return s.Account }

func TestLogsCarryNoSecrets(t *testing.T) {
	logged, logs := observer.New(zapcore.DebugLevel)
	const secret = "very-secret"
	f := &fakeScheduler{onSelect: func(context.Context, *core.Request) (*core.Answer, error) { return nil, errors.New(secret) }}
	e := newEdge(t, Options{Scheduler: f, Metrics: noMetrics{}, Logger: zap.New(logged)})
	for _, req := range []*usherv1.SelectRequest{
		{SessionHash: secret, PreviousResponseId: secret},
		{SessionHash: secret + long(600), Group: secret + "\n", ExcludedAccountIds: []string{secret + "\x00"}},
		{Reports: report(about(secret, &usherv1.ReportEvent{})).GetEvents()},
	} {
		if _, err := e.scheduler.Select(t.Context(), req); err == nil {
			t.Error("no error")
		}
	}
	if logs.FilterMessage("finished call").Len() != 3 {
		t.Errorf("not every failed call was logged: %v", logs.All())
	}
	for _, line := range logs.All() {
		if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, secret) {
			t.Errorf("logged: %s", text)
		}
	}
}

func TestGoodCallsAreLoggedSeldom(t *testing.T) {
	logged, logs := observer.New(zapcore.DebugLevel)
	e := newEdge(t, Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}, Logger: zap.New(logged)})
	for range oneInOK {
		if _, err := e.scheduler.Select(t.Context(), &usherv1.SelectRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	lines := logs.FilterMessage("finished call").All()
	if len(lines) != 1 || lines[0].Level != zapcore.DebugLevel {
		t.Fatalf("got %v", lines)
	}
	for _, key := range []string{"grpc.method", "grpc.duration", "grpc.code", "grpc.start_time"} {
		if _, ok := lines[0].ContextMap()[key]; !ok {
			t.Errorf("no %s in %v", key, lines[0].ContextMap())
		}
	}
}

func TestCancelledSelect(t *testing.T) {
	started := make(chan struct{})
	f := &fakeScheduler{onSelect: func(ctx context.Context, _ *core.Request) (*core.Answer, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	e := newEdge(t, Options{Scheduler: f, Metrics: noMetrics{}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	if _, err := e.scheduler.Select(ctx, &usherv1.SelectRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
}

// A slot that was taken for a call that was cancelled meanwhile is given back, unless the request id finds it again.
func TestSlotOfACancelledSelectIsGivenBack(t *testing.T) {
	for _, id := range []string{"", "r"} {
		inner := newCore(t, accounts(1, 1), nil)
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		f := &fakeScheduler{onWithdraw: inner.Withdraw, onSelect: func(ctx context.Context, r *core.Request) (*core.Answer, error) {
			a, err := inner.Select(context.WithoutCancel(ctx), r)
			cancel()
			<-ctx.Done()
			return a, err
		}}
		s, err := New(Options{Scheduler: f, Metrics: inner})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.hardStop)
		go func() {
			defer close(done)
			_, err = (&schedulerService{server: s}).Select(ctx, &usherv1.SelectRequest{RequestId: id})
		}()
		await(t, done)
		snap, _ := inner.Snapshot(t.Context())
		if status.Code(err) != codes.Canceled || snap.Usage.Leases != 0 {
			t.Errorf("request id %q: %v, %d in use", id, err, snap.Usage.Leases)
		}
	}
}

func TestHugeMessageIsRefused(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{})
	for _, req := range []*usherv1.SelectRequest{{SessionHash: long(10 << 20)}, {RequestId: long(10 << 20)}} {
		if _, err := w.scheduler.Select(t.Context(), req); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("got %v", err)
		}
	}
	if n := w.inUse(t); n != 0 {
		t.Errorf("%d in use", n)
	}
	w.lease(t)
}

// Thousands of Selects that wait on one connection do not keep a Report of that connection out.
func TestWaitingSelectsDoNotKeepReportsOut(t *testing.T) {
	const waiters = 3000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := make(chan struct{}, waiters)
	f := &fakeScheduler{onSelect: func(ctx context.Context, _ *core.Request) (*core.Answer, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	e := newEdge(t, Options{Scheduler: f, Metrics: noMetrics{}})
	var all sync.WaitGroup
	for range waiters {
		all.Go(func() { _, _ = e.scheduler.Select(ctx, &usherv1.SelectRequest{}) })
	}
	for range waiters {
		await(t, waiting)
	}
	if _, err := e.scheduler.Report(within(t), report(succeeded())); err != nil {
		t.Errorf("Report: %v", err)
	}
	cancel()
	all.Wait()
}

func TestAuthHasItsPlace(t *testing.T) {
	e := newEdge(t, Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}, Auth: func(context.Context) (context.Context, error) {
		return nil, status.Error(codes.Unauthenticated, "who are you")
	}})
	// Before validation: a stranger learns nothing about the request either.
	_, err := e.scheduler.Select(t.Context(), &usherv1.SelectRequest{Group: long(129)})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("unary: %v", err)
	}
	stream, err := e.scheduler.ReportStream(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("stream: %v", err)
	}
}

func TestHealth(t *testing.T) {
	e := newEdge(t, Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}})
	client := healthv1.NewHealthClient(e.conn)
	for _, service := range []string{"", "usher.v1.SchedulerService", "usher.v1.MetricsService"} {
		r, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || r.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, r, err)
		}
	}
	if _, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
}

func TestReflectionListsServices(t *testing.T) {
	e := newEdge(t, Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}})
	stream, err := reflectionv1.NewServerReflectionClient(e.conn).ServerReflectionInfo(t.Context(), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range r.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"usher.v1.SchedulerService", "usher.v1.MetricsService", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("%v lacks %s", names, want)
		}
	}
}
