//go:build live

package gateway

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	usherv1 "usher.internal/gen/usher/v1"
)

// The tests need a usher of their own, which docs/client/run.sh starts; it names its address.
var address = os.Getenv("USHER_ADDRESS")

var (
	channel = sync.OnceValues(connected)
	started = time.Now().UnixNano()
	count   int
)

// patience is for a busy machine: a test gives up what does not come in it.
const patience = time.Minute

// connected gives a channel that stands: an attempt to connect may take a second, which is not for a busy machine.
func connected() (*grpc.ClientConn, error) {
	conn, err := Dial(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		conn.Connect()
		if !conn.WaitForStateChange(ctx, state) {
			return nil, fmt.Errorf("usher cannot be reached at %s", address)
		}
	}
	return conn, nil
}

func unique(what string) string {
	count++
	return fmt.Sprintf("%s-%d-%d", what, started, count)
}

func newGateway(t *testing.T) *Gateway {
	t.Helper()
	if address == "" {
		t.Fatal("USHER_ADDRESS is not set; docs/client/run.sh sets it")
	}
	usher := &watched{SchedulerServiceClient: usherv1.NewSchedulerServiceClient(conn(t))}
	return New(usher, "example-go", fmt.Sprint(started), []string{"static-1", "static-2"})
}

func conn(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := channel()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// watched is a client that notes what came back, and can lose an answer.
type watched struct {
	usherv1.SchedulerServiceClient
	lose     int
	answered func()
	planned  func(*usherv1.WaitPlan)
	selected []*usherv1.Selection
	repeated bool
	results  []*usherv1.ReportResult
}

// patient gives ctx with another deadline: that of the example is for a machine that is not busy.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), patience)
}

func (w *watched) Report(ctx context.Context, req *usherv1.ReportRequest, opts ...grpc.CallOption) (*usherv1.ReportResponse, error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	return w.SchedulerServiceClient.Report(ctx, req, opts...)
}

func (w *watched) Select(ctx context.Context, req *usherv1.SelectRequest, opts ...grpc.CallOption) (*usherv1.SelectResponse, error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	resp, err := w.SchedulerServiceClient.Select(ctx, req, opts...)
	if err != nil {
		return nil, err
	}
	w.results = append(w.results, resp.ReportResults...)
	w.repeated = resp.Decision.Repeated
	if s := resp.GetSelection(); s != nil {
		w.selected = append(w.selected, s)
	}
	if w.lose > 0 {
		w.lose--
		return nil, status.Error(codes.Unavailable, "the connection broke")
	}
	if w.answered != nil {
		w.answered()
	}
	if p := resp.GetWaitPlan(); p != nil && w.planned != nil {
		w.planned(p)
	}
	return resp, nil
}

// take selects and wants an account.
func (g *Gateway) take(t *testing.T, req *usherv1.SelectRequest) *usherv1.Selection {
	t.Helper()
	resp, err := g.usher.Select(t.Context(), req)
	if err != nil || resp.GetSelection() == nil {
		t.Fatalf("select: %v %v", resp, err)
	}
	return resp.GetSelection()
}

// peek asks without taking anything.
func (g *Gateway) peek(t *testing.T, req *usherv1.SelectRequest) *usherv1.SelectResponse {
	t.Helper()
	req.DryRun = true
	resp, err := g.usher.Select(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (g *Gateway) tell(t *testing.T, event *usherv1.ReportEvent) *usherv1.ReportResult {
	t.Helper()
	resp, err := g.usher.Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{event}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Results[0]
}

func accounts(t *testing.T, fit func(*usherv1.AccountSnapshot) bool) []string {
	t.Helper()
	m, err := usherv1.NewMetricsServiceClient(conn(t)).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, a := range m.Snapshot.Accounts {
		if fit(a) {
			ids = append(ids, a.AccountId)
		}
	}
	return ids
}

func every(*usherv1.AccountSnapshot) bool { return true }

// fill takes every slot of one account, by way of a response that it owns.
func (g *Gateway) fill(t *testing.T) (held []*usherv1.Selection, response string) {
	t.Helper()
	response = unique("resp")
	unlimited := accounts(t, func(a *usherv1.AccountSnapshot) bool { return a.MaxConcurrency <= 0 })
	held = append(held, g.take(t, &usherv1.SelectRequest{ExcludedAccountIds: unlimited}))
	g.tell(t, firstTokenEvent(held[0].LeaseToken, nil, response))
	for range 10_000 {
		resp, err := g.usher.Select(t.Context(), &usherv1.SelectRequest{PreviousResponseId: response})
		if err != nil {
			t.Fatal(err)
		}
		if resp.GetWaitPlan() != nil {
			return held, response
		}
		held = append(held, resp.GetSelection())
	}
	t.Fatal("the account never fills")
	return nil, ""
}

// TestReady waits for usher's own word that it serves: run.sh starts with it.
func TestReady(t *testing.T) {
	newGateway(t)
	ready(t, conn(t))
}

func ready(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch, err := healthpb.NewHealthClient(conn).Watch(ctx,
		&healthpb.HealthCheckRequest{Service: usherv1.SchedulerService_ServiceDesc.ServiceName}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for {
		h, err := watch.Recv()
		if err != nil {
			t.Fatalf("usher does not serve: %v", err)
		}
		if h.Status == healthpb.HealthCheckResponse_SERVING {
			return
		}
	}
}
