package server

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// A client that never reads its acks holds up nobody, itself included, as long as all goes well.
func TestClientThatNeverReadsAcks(t *testing.T) {
	const (
		leases = 34_000 // three events each
		// forged events are answered one by one: enough to fill the stream's windows, so that the server cannot send more.
		forged = 16_000
		window = 64 << 10
	)
	w := newWorld(t, accounts(3, 0), Options{})
	conn := w.dial(t, grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window))
	deaf := &edge{scheduler: usherv1.NewSchedulerServiceClient(conn)}
	stream := deaf.open(t, "deaf", "1")
	n := uint64(0)
	for range forged {
		n++
		send(t, stream, event(n, about("forged", succeeded())))
	}
	for range leases {
		a, err := w.core.Select(t.Context(), &core.Request{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*usherv1.ReportEvent{firstToken(), switched(), succeeded()} {
			n++
			send(t, stream, event(n, about(a.Selection.Token, e)))
		}
		if n%10_000 < 3 {
			if _, err := w.scheduler.Report(within(t), report(about(w.lease(t), succeeded()))); err != nil {
				t.Errorf("another client: %v", err)
			}
		}
	}
	// Closing lets the handler end once all is applied; only then anything is read.
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	untilNoneInUse(t, w)
	acks, told, size := 0, 0, 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		acks++
		told += len(m.GetAck().GetExceptions())
		size += proto.Size(m)
	}
	if told != forged || size <= 2*window {
		t.Errorf("%d exceptions in %d bytes, want %d, and more than the windows hold", told, size, forged)
	}
	snap, err := w.core.Snapshot(t.Context())
	if err != nil || snap.Totals.Switches != leases {
		t.Errorf("%d switches counted, want %d (%v)", snap.Totals.Switches, leases, err)
	}
	t.Logf("%d events were acked with %d acks", n, acks)
}

func untilNoneInUse(t *testing.T, w *world) {
	t.Helper()
	sub := w.core.Subscribe(10 * time.Millisecond)
	defer sub.Close()
	for {
		snap, _, err := sub.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if snap.Usage.Leases == 0 {
			return
		}
	}
}

// What a client does not read is bounded: when every event is an exception, its stream ends.
func TestUnreadExceptionsEndTheStream(t *testing.T) {
	w := newWorld(t, accounts(1, 0), Options{})
	stream := w.open(t, "deaf", "1")
	var sender sync.WaitGroup
	sender.Go(func() {
		for n := range uint64(100_000) {
			// It fails when the stream has ended.
			if stream.Send(event(n+1, about("forged", succeeded()))) != nil {
				return
			}
		}
	})
	ended := func() bool {
		for _, c := range w.server.telemetry.Calls() {
			if c.Method == usherv1.SchedulerService_ReportStream_FullMethodName && c.Code == codes.ResourceExhausted {
				return true
			}
		}
		return false
	}
	for ctx := within(t); !ended(); {
		if ctx.Err() != nil {
			t.Fatal("the stream goes on")
		}
		// Another client is served meanwhile.
		if _, err := w.scheduler.Report(ctx, report(about(w.lease(t), succeeded()))); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	told := 0
	for err == nil {
		var m *usherv1.ReportStreamResponse
		m, err = stream.Recv()
		told += len(m.GetAck().GetExceptions())
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v after %d exceptions", err, told)
	}
	sender.Wait()
}

// 100 subscribers of which 50 never read: the others get every snapshot, and requests are served.
func TestSubscribersThatNeverRead(t *testing.T) {
	w := newWorld(t, accounts(500, 3), Options{})
	interval := durationpb.New(minInterval)
	var readers sync.WaitGroup
	for i := range 100 {
		// Connections of their own, so that nobody shares flow control.
		client := usherv1.NewMetricsServiceClient(w.dial(t))
		stream, err := client.StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{Interval: interval})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			continue
		}
		readers.Go(func() {
			for range 5 {
				m, err := stream.Recv()
				if err != nil {
					t.Error(err)
					return
				}
				if len(m.GetSnapshot().GetAccounts()) != 500 {
					t.Errorf("%d accounts", len(m.GetSnapshot().GetAccounts()))
				}
			}
		})
	}
	for range 1000 {
		if _, err := w.scheduler.Report(within(t), report(about(w.lease(t), succeeded()))); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
	if n := w.inUse(t); n != 0 {
		t.Errorf("%d in use", n)
	}
	// Drain must not wait for those that do not read.
	if err := w.server.Drain(within(t)); err != nil {
		t.Errorf("Drain: %v", err)
	}
}
