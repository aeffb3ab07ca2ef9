package server

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

type clientStream = grpc.BidiStreamingClient[usherv1.ReportStreamRequest, usherv1.ReportStreamResponse]

func hello(name, incarnation string) *usherv1.ReportStreamRequest {
	return &usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{
		Hello: &usherv1.ClientHello{Owner: &usherv1.Owner{Name: name, Incarnation: incarnation}},
	}}
}

func event(n uint64, e *usherv1.ReportEvent) *usherv1.ReportStreamRequest {
	return &usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Event{
		Event: &usherv1.SequencedEvent{Sequence: n, Event: e},
	}}
}

// open opens a stream and reads the server's hello.
func (e *edge) open(tb testing.TB, name, incarnation string) clientStream {
	tb.Helper()
	stream, err := e.scheduler.ReportStream(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	send(tb, stream, hello(name, incarnation))
	m, err := stream.Recv()
	if err != nil || m.GetHello() == nil {
		tb.Fatalf("no hello: %v, %v", m, err)
	}
	return stream
}

func send(tb testing.TB, stream clientStream, messages ...*usherv1.ReportStreamRequest) {
	tb.Helper()
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			tb.Fatal(err)
		}
	}
}

// acked reads acks until one reaches through, and gives the exceptions of all.
func acked(tb testing.TB, stream clientStream, through uint64, exceptions int) []*usherv1.EventException {
	tb.Helper()
	var all []*usherv1.EventException
	for {
		m, err := stream.Recv()
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, m.GetAck().GetExceptions()...)
		if m.GetAck().GetThroughSequence() >= through && len(all) >= exceptions {
			return all
		}
	}
}

func TestHelloComesFirst(t *testing.T) {
	e := newEdge(t, Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}})
	for name, row := range map[string]struct {
		first *usherv1.ReportStreamRequest
		want  refusal
	}{
		"event":         {event(1, about("t", succeeded())), refusal{fields: []string{"hello"}}},
		"nothing in it": {&usherv1.ReportStreamRequest{}, refusal{fields: []string{"hello"}}},
		"half-close":    {nil, refusal{fields: []string{"hello"}}},
		"no owner":      {&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{Hello: &usherv1.ClientHello{}}}, refusal{fields: []string{"hello.owner"}}},
		"no name":       {hello("", "1"), refusal{fields: []string{"hello.owner.name"}}},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := e.scheduler.ReportStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if row.first == nil {
				_ = stream.CloseSend()
			} else {
				send(t, stream, row.first)
			}
			_, err = stream.Recv()
			checkRefusal(t, row.want, err)
		})
	}
}

func TestGarbageSequencesAreNacked(t *testing.T) {
	w := newWorld(t, accounts(1, 0), Options{})
	stream := w.open(t, "o", "1")
	tokens := []string{w.lease(t), w.lease(t), w.lease(t)}
	const top = ^uint64(0)
	send(t, stream,
		event(0, about(tokens[0], succeeded())),
		event(7, about(tokens[0], succeeded())),
		event(7, about(tokens[1], succeeded())),
		event(3, about(tokens[1], succeeded())),
		event(100, about(tokens[1], succeeded())),
		event(top, about(tokens[0], succeeded())),
		event(top, about(tokens[2], succeeded())),
		event(1, about(tokens[2], succeeded())),
	)
	got := acked(t, stream, top, 6)
	want := []uint64{0, 7, 3, top, top, 1}
	if len(got) != len(want) {
		t.Fatalf("exceptions %v", got)
	}
	for i, x := range got {
		if x.GetSequence() != want[i] {
			t.Errorf("exception %d is of %d, want %d", i, x.GetSequence(), want[i])
		}
		if i == 3 {
			// The one that rose, but whose lease was given back before.
			if x.GetResult().GetStatus() != usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED {
				t.Errorf("exception %d: %v", i, x)
			}
		} else if x.GetNack().GetReason() != usherv1.NackReason_NACK_REASON_SEQUENCE || x.GetNack().GetField() != "event.sequence" {
			t.Errorf("exception %d: %v", i, x)
		}
	}
	if n := w.inUse(t); n != 1 {
		t.Errorf("%d in use, want only the one whose event was nacked", n)
	}
}

func TestBadEventsAreNackedAndTheStreamGoesOn(t *testing.T) {
	w := newWorld(t, accounts(1, 0), Options{})
	stream := w.open(t, "o", "1")
	token := w.lease(t)
	send(t, stream,
		event(1, nil),
		event(2, finished(&usherv1.Finished{})),
		event(3, finished(&usherv1.Finished{Outcome: 3, RetryAfter: durationpb.New(-1)})),
		&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{Heartbeat: &usherv1.Heartbeat{Sequence: 4}}},
		&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{Heartbeat: &usherv1.Heartbeat{Sequence: 4}}},
		hello("o", "1"),
		&usherv1.ReportStreamRequest{},
		event(5, about("forged", succeeded())),
		event(6, about(token, succeeded())),
	)
	got := acked(t, stream, 6, 7)
	for i, want := range []struct {
		sequence uint64
		reason   usherv1.NackReason
		field    string
	}{
		{1, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "event.event"},
		{2, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "event.event.finished.outcome"},
		{3, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "event.event.finished.retry_after"},
		{4, usherv1.NackReason_NACK_REASON_SEQUENCE, "heartbeat.sequence"},
		{0, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "hello"},
		{0, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "message"},
	} {
		x := got[i]
		if x.GetSequence() != want.sequence || x.GetNack().GetReason() != want.reason || x.GetNack().GetField() != want.field {
			t.Errorf("exception %d: %v, want %v", i, x, want)
		}
	}
	if len(got) != 7 || got[6].GetResult().GetStatus() != usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID {
		t.Errorf("got %v", got)
	}
	if n := w.inUse(t); n != 0 {
		t.Errorf("%d in use", n)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the half-close: %v, %v", m, err)
	}
}

// The acks of all that was sent before a half-close still come.
func TestHalfCloseGetsEveryAck(t *testing.T) {
	w := newWorld(t, accounts(1, 0), Options{})
	stream := w.open(t, "o", "1")
	const n = 1000
	for i := range uint64(n) {
		send(t, stream, event(i+1, about(w.lease(t), succeeded())))
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := acked(t, stream, n, 0); len(got) != 0 {
		t.Errorf("exceptions %v", got)
	}
	if left := w.inUse(t); left != 0 {
		t.Errorf("%d in use", left)
	}
}

func TestNewerStreamTakesOver(t *testing.T) {
	w := newWorld(t, accounts(1, 0), Options{})
	token := w.lease(t)
	other, older := w.open(t, "o", "2"), w.open(t, "o", "1")
	newer := w.open(t, "o", "1")
	if m, err := older.Recv(); err != nil || m.GetGoingAway() == nil {
		t.Errorf("the older one: %v, %v", m, err)
	}
	if _, err := older.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the older one goes on: %v", err)
	}
	for i, stream := range []clientStream{newer, other} {
		send(t, stream, event(1, about(token, succeeded())))
		if got := acked(t, stream, 1, i); len(got) != i {
			t.Errorf("stream %d: %v", i, got)
		}
	}
	if err := newer.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := newer.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the newer one: %v", err)
	}
}

func TestStoreErrorNacksAndTheStreamGoesOn(t *testing.T) {
	down := true
	f := &fakeScheduler{}
	f.onReport = func(ctx context.Context, events []core.Event) ([]core.EventResult, error) {
		if down {
			down = false
			return nil, &core.Error{Kind: core.KindStoreUnavailable}
		}
		return (&fakeScheduler{}).Report(ctx, events)
	}
	e := newEdge(t, Options{Scheduler: f, Metrics: noMetrics{}})
	stream := e.open(t, "o", "1")
	send(t, stream, event(1, about("t", succeeded())))
	got := acked(t, stream, 1, 1)
	if got[0].GetNack().GetReason() != usherv1.NackReason_NACK_REASON_UNAVAILABLE {
		t.Errorf("got %v", got)
	}
	send(t, stream, event(2, about("t", succeeded())))
	if got := acked(t, stream, 2, 0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestPanicEndsOnlyItsStream(t *testing.T) {
	f := &fakeScheduler{}
	f.onReport = func(ctx context.Context, events []core.Event) ([]core.EventResult, error) {
		if events[0].Token == "bad" {
			panic("bad")
		}
		return (&fakeScheduler{}).Report(ctx, events)
	}
	e := newEdge(t, Options{Scheduler: f, Metrics: noMetrics{}})
	good, bad := e.open(t, "good", "1"), e.open(t, "bad", "1")
	send(t, bad, event(1, about("bad", succeeded())))
	if _, err := bad.Recv(); status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
	send(t, good, event(1, about("t", succeeded())))
	acked(t, good, 1, 0)
}
