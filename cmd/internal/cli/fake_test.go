package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
)

// fake is an usher that answers as it is told.
type fake struct {
	usherv1.UnimplementedSchedulerServiceServer
	usherv1.UnimplementedMetricsServiceServer

	onSelect  func(*usherv1.SelectRequest) (*usherv1.SelectResponse, error)
	onReport  func(*usherv1.ReportRequest) (*usherv1.ReportResponse, error)
	onRenew   func(*usherv1.RenewRequest) (*usherv1.RenewResponse, error)
	onExplain func(*usherv1.ExplainRequest) (*usherv1.ExplainResponse, error)
	onList    func(*usherv1.ListDecisionsRequest) (*usherv1.ListDecisionsResponse, error)
	onStream  func(*usherv1.StreamMetricsRequest, grpc.ServerStreamingServer[usherv1.StreamMetricsResponse]) error

	mu       sync.Mutex // guards what follows
	live     map[string]bool
	selects  int
	sessions map[string]int
}

func (f *fake) Select(_ context.Context, req *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
	if f.onSelect != nil {
		return f.onSelect(req)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live == nil {
		f.live, f.sessions = map[string]bool{}, map[string]int{}
	}
	f.selects++
	f.sessions[req.GetSessionHash()]++
	token := fmt.Sprintf("lease-%06d", f.selects)
	f.live[token] = true
	return selection(token), nil
}

func (f *fake) Report(_ context.Context, req *usherv1.ReportRequest) (*usherv1.ReportResponse, error) {
	if f.onReport != nil {
		return f.onReport(req)
	}
	resp := &usherv1.ReportResponse{}
	for _, e := range req.GetEvents() {
		resp.Results = append(resp.Results, &usherv1.ReportResult{Status: f.release(e.GetLeaseToken()), AccountId: "acct-01"})
	}
	return resp, nil
}

func (f *fake) release(token string) usherv1.ReportStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.live[token] {
		return usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED
	}
	delete(f.live, token)
	return usherv1.ReportStatus_REPORT_STATUS_APPLIED
}

func (f *fake) ReportStream(s grpc.BidiStreamingServer[usherv1.ReportStreamRequest, usherv1.ReportStreamResponse]) error {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e := m.GetEvent()
		if e == nil {
			continue
		}
		ack := &usherv1.Ack{ThroughSequence: e.GetSequence()}
		if st := f.release(e.GetEvent().GetLeaseToken()); st != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			ack.Exceptions = []*usherv1.EventException{{Sequence: e.GetSequence(), Result: &usherv1.ReportResult{Status: st}}}
		}
		if err := s.Send(&usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_Ack{Ack: ack}}); err != nil {
			return err
		}
	}
}

func (f *fake) Renew(_ context.Context, req *usherv1.RenewRequest) (*usherv1.RenewResponse, error) {
	return f.onRenew(req)
}

func (f *fake) Explain(_ context.Context, req *usherv1.ExplainRequest) (*usherv1.ExplainResponse, error) {
	return f.onExplain(req)
}

func (f *fake) ListDecisions(_ context.Context, req *usherv1.ListDecisionsRequest) (*usherv1.ListDecisionsResponse, error) {
	return f.onList(req)
}

func (f *fake) GetMetrics(context.Context, *usherv1.GetMetricsRequest) (*usherv1.GetMetricsResponse, error) {
	return &usherv1.GetMetricsResponse{Snapshot: laterSnapshot()}, nil
}

func (f *fake) StreamMetrics(req *usherv1.StreamMetricsRequest, s grpc.ServerStreamingServer[usherv1.StreamMetricsResponse]) error {
	return f.onStream(req, s)
}

// serve runs the fake until the test ends and returns its address.
func (f *fake) serve(t *testing.T, network string) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	usherv1.RegisterSchedulerServiceServer(server, f)
	usherv1.RegisterMetricsServiceServer(server, f)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	if network == "unix" {
		return "unix://" + address
	}
	return listener.Addr().String()
}
