package server

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	usherv1 "usher.internal/gen/usher/v1"
)

// draining checks that err says so to a program.
func checkDraining(t *testing.T, what string, err error) {
	t.Helper()
	st := status.Convert(err)
	reason, retry := "", time.Duration(0)
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.RetryInfo:
			retry = d.GetRetryDelay().AsDuration()
		}
	}
	if st.Code() != codes.Unavailable || reason != "DRAINING" || retry != defaultRetryAfter {
		t.Errorf("%s: %v, reason %q, retry %v", what, st, reason, retry)
	}
}

func TestDrainTakesReportsUntilNoLeaseIsLive(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{})
	token := w.lease(t)
	events := w.open(t, "o", "1")
	snapshots, err := w.metrics.StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snapshots.Recv(); err != nil {
		t.Fatal(err)
	}
	watch, err := healthv1.NewHealthClient(w.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := watch.Recv(); err != nil || r.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("watch: %v, %v", r, err)
	}

	drained := make(chan error, 2)
	for range 2 {
		go func() { drained <- w.server.Drain(within(t)) }()
	}
	if r, err := watch.Recv(); err != nil || r.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("watch: %v, %v", r, err)
	}
	<-w.server.draining.Done()
	_, err = w.scheduler.Select(t.Context(), &usherv1.SelectRequest{})
	checkDraining(t, "Select", err)
	later, err := w.scheduler.ReportStream(t.Context())
	if err == nil {
		_, err = later.Recv()
	}
	checkDraining(t, "ReportStream", err)

	if m, err := events.Recv(); err != nil || m.GetGoingAway().GetRetryAfter().AsDuration() != defaultRetryAfter {
		t.Errorf("the report stream's last message: %v, %v", m, err)
	}
	if m, err := events.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: %v, %v", m, err)
	}
	for err == nil || !errors.Is(err, io.EOF) {
		if _, err = snapshots.Recv(); err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("metrics stream: %v", err)
		}
	}

	r, err := w.scheduler.Report(t.Context(), report(about(token, succeeded())))
	if err != nil || r.GetResults()[0].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("Report while draining: %v, %v", r, err)
	}
	for range 2 {
		if err := await(t, drained); err != nil {
			t.Errorf("Drain: %v", err)
		}
	}
	if err := w.server.Drain(t.Context()); err != nil {
		t.Errorf("Drain once more: %v", err)
	}
}

// What does not end by itself is cut off: leases that nobody reports, streams that nobody reads.
func TestDrainEndsWithItsContext(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{})
	w.lease(t)
	w.open(t, "o", "1")
	foreign, err := healthv1.NewHealthClient(w.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Recv(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- w.server.Drain(ctx) }()
	<-w.server.draining.Done()
	cancel()
	if err := await(t, drained); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
	if err := await(t, w.served); err != nil {
		t.Errorf("Serve: %v", err)
	}
	w.served <- nil
	if _, err := w.scheduler.Select(t.Context(), &usherv1.SelectRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("afterwards: %v", err)
	}
}

func TestServeGivesAListenersError(t *testing.T) {
	s := bareServer(t)
	good, bad := bufconn.Listen(1), &brokenListener{Listener: bufconn.Listen(1)}
	if err := s.Serve(good, bad); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if err := s.Serve(bufconn.Listen(1)); err != nil {
		t.Errorf("after the stop: %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenListener struct{ net.Listener }

func (*brokenListener) Accept() (net.Conn, error) { return nil, errBroken }
