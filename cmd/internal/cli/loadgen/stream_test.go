package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

const heartbeatInterval = 3 * time.Second

// strict is an usher that ends leases which are missing from two heartbeats in a row.
type strict struct {
	usherv1.UnimplementedSchedulerServiceServer
	nack bool // refuses all heartbeats
	lose bool // tells at the first heartbeat that all leases are lost

	mu       sync.Mutex        // guards what follows
	live     map[string]uint64 // leases and how many heartbeats in a row they are missing from
	selects  int
	beats    int
	named    int // the most leases of one heartbeat
	sequence uint64
	wrong    []string
}

func (s *strict) Select(_ context.Context, req *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.selects++
	token := fmt.Sprintf("%s/%d", req.GetOwner().GetName(), s.selects)
	s.live[token] = 0
	selection := &usherv1.Selection{LeaseToken: token}
	return &usherv1.SelectResponse{Result: &usherv1.SelectResponse_Selection{Selection: selection}}, nil
}

func (s *strict) ReportStream(stream grpc.BidiStreamingServer[usherv1.ReportStreamRequest, usherv1.ReportStreamResponse]) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, answer := range s.answer(m) {
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
	}
}

func (s *strict) answer(m *usherv1.ReportStreamRequest) []*usherv1.ReportStreamResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	ack := &usherv1.Ack{ThroughSequence: m.GetEvent().GetSequence()}
	answers := []*usherv1.ReportStreamResponse{{Message: &usherv1.ReportStreamResponse_Ack{Ack: ack}}}
	switch m := m.GetMessage().(type) {
	case *usherv1.ReportStreamRequest_Hello:
		hello := &usherv1.ServerHello{HeartbeatInterval: durationpb.New(heartbeatInterval)}
		return []*usherv1.ReportStreamResponse{{Message: &usherv1.ReportStreamResponse_Hello{Hello: hello}}}
	case *usherv1.ReportStreamRequest_Event:
		token := m.Event.GetEvent().GetLeaseToken()
		if _, ok := s.live[token]; !ok {
			result := &usherv1.ReportResult{Status: usherv1.ReportStatus_REPORT_STATUS_LEASE_EXPIRED}
			ack.Exceptions = []*usherv1.EventException{{Sequence: ack.GetThroughSequence(), Result: result}}
		}
		delete(s.live, token)
	case *usherv1.ReportStreamRequest_Heartbeat:
		ack.ThroughSequence = m.Heartbeat.GetSequence()
		answers = append(answers, s.beat(ack, m.Heartbeat.GetLeaseTokens())...)
	}
	if ack.GetThroughSequence() <= s.sequence {
		s.wrong = append(s.wrong, fmt.Sprintf("sequence %d after %d", ack.GetThroughSequence(), s.sequence))
	}
	s.sequence = ack.GetThroughSequence()
	return answers
}

func (s *strict) beat(ack *usherv1.Ack, tokens []string) (told []*usherv1.ReportStreamResponse) {
	s.beats++
	if s.nack {
		nack := &usherv1.Nack{Reason: usherv1.NackReason_NACK_REASON_UNAVAILABLE}
		ack.Exceptions = []*usherv1.EventException{{Sequence: ack.GetThroughSequence(), Nack: nack}}
		return nil
	}
	s.named = max(s.named, len(tokens))
	for token := range s.live {
		s.live[token]++
	}
	for _, token := range tokens {
		if _, ok := s.live[token]; !ok {
			s.wrong = append(s.wrong, "a heartbeat names "+token+", which has ended")
		}
		s.live[token] = 0
	}
	for token, missing := range s.live {
		if missing < 2 && (!s.lose || len(tokens) == 0) {
			continue
		}
		delete(s.live, token)
		lost := &usherv1.LeaseLost{LeaseToken: token, Reason: usherv1.LeaseEnd_LEASE_END_FORGOTTEN}
		told = append(told, &usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_LeaseLost{LeaseLost: lost}})
	}
	return told
}

// stream does one round over one stream; pairs hold their lease for hold.
func (s *strict) stream(t *testing.T, callers int, length, hold time.Duration) Round {
	t.Helper()
	s.live = make(map[string]uint64)
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	usherv1.RegisterSchedulerServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	defer serving.Wait()
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///usher", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	work := Work{Hold: hold, Timeout: time.Second, Owner: &usherv1.Owner{Name: "load", Incarnation: "1"}, Clock: Timers{}}
	driver, err := OpenStreams(t.Context(), work, []*grpc.ClientConn{conn})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Plan{Callers: callers, Duration: length, Clock: Timers{}}, driver)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range s.wrong {
		t.Error(w)
	}
	return r
}

func TestHeartbeatsKeepLeasesOfLongRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{}
		r := s.stream(t, 50, 40*time.Second, 20*time.Second)
		if r.Pairs != 100 || r.Unapplied != 0 || len(r.Errors) != 0 || len(s.live) != 0 {
			t.Errorf("%d pairs, %d unapplied, errors %v, %d leases left", r.Pairs, r.Unapplied, r.Errors, len(s.live))
		}
		// At 0 s, 3 s, ..., 39 s.
		if s.beats != 14 || s.named != 50 {
			t.Errorf("%d heartbeats, of %d leases at most, want 14 of 50", s.beats, s.named)
		}
	})
}

func TestRefusedHeartbeatsAreCountedAndHarmNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{nack: true}
		r := s.stream(t, 3, 10*time.Second, 10*time.Second)
		if n := r.Errors["heartbeat nack NACK_REASON_UNAVAILABLE"]; r.Pairs != 3 || n != 4 || len(r.Errors) != 1 {
			t.Errorf("%d pairs, errors %v, want 3 pairs and 4 refused heartbeats", r.Pairs, r.Errors)
		}
	})
}

func TestLostLeasesAreCountedAndNamedNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{lose: true}
		r := s.stream(t, 3, 10*time.Second, 10*time.Second)
		if n := r.Errors["lease lost LEASE_END_FORGOTTEN"]; r.Unapplied != 3 || n != 3 {
			t.Errorf("%d unapplied, errors %v, want 3 and 3 lost leases", r.Unapplied, r.Errors)
		}
	})
}
