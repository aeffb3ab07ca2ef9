package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// requests are the messages that a client can send, empty.
func requests() []proto.Message {
	return []proto.Message{
		&usherv1.SelectRequest{}, &usherv1.ReportRequest{}, &usherv1.RenewRequest{}, &usherv1.GetMetricsRequest{},
		&usherv1.StreamMetricsRequest{}, &usherv1.ListDecisionsRequest{}, &usherv1.ExplainRequest{}, &usherv1.ReportStreamRequest{},
	}
}

// FuzzValidate: no bytes that are a message crash a validation or, if it passes, the conversion behind it.
func FuzzValidate(f *testing.F) {
	for _, row := range append(selectRows(), reportRows()...) {
		wire, err := proto.Marshal(row.msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, m := range requests() {
			if proto.Unmarshal(wire, m) != nil {
				continue
			}
			known, err := validate(m)
			if hello, ok := m.(*usherv1.ReportStreamRequest); ok {
				known, err = true, validateHello(hello)
			}
			switch code := status.Code(err); {
			case !known:
				t.Errorf("%T has no validation", m)
			case code != codes.OK && code != codes.InvalidArgument && code != codes.Unimplemented:
				t.Errorf("%T: %v", m, err)
			case code == codes.OK:
				convert(t, m)
			}
		}
	})
}

func convert(t *testing.T, m proto.Message) {
	t.Helper()
	var events []core.Event
	switch m := m.(type) {
	case *usherv1.SelectRequest:
		r := requestFrom(m)
		if r.LeaseTTL < 0 || r.Alternates < 0 {
			t.Errorf("%+v", r)
		}
		events = r.Reports
	case *usherv1.ReportRequest:
		events = eventsFrom(m.GetEvents())
	case *usherv1.ListDecisionsRequest:
		filterFrom(m)
	}
	for _, e := range events {
		if e.Kind == 0 || e.TTFT < 0 || e.RetryAfter < 0 ||
			e.Kind == core.EventFinished && e.Outcome == 0 && e.UpstreamStatus == 0 && strings.TrimSpace(e.UpstreamCode) == "" {
			t.Errorf("a valid event became %+v", e)
		}
	}
}

// FuzzStreamSequences: whatever numbers a stream sends, only rising ones are applied, each
// message is answered once, and the ack never falls.
func FuzzStreamSequences(f *testing.F) {
	f.Add([]byte{1, 2, 3, 3, 0, 255, 4})
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{200, 100, 201, 7})
	f.Fuzz(func(t *testing.T, numbers []byte) {
		var b batch
		a := newAcks()
		applied := &fakeScheduler{}
		taken, nacked, last := 0, 0, uint64(0)
		applied.onReport = func(ctx context.Context, events []core.Event) ([]core.EventResult, error) {
			taken += len(events)
			return (&fakeScheduler{}).Report(ctx, events)
		}
		rising := 0
		for i := 0; i < len(numbers); {
			b.reset()
			for ; i < len(numbers) && !b.full(); i++ {
				// The high bit spreads them over the whole range.
				n := uint64(numbers[i]&0x7f) << (numbers[i] >> 7 * 57)
				if n > last {
					last = n
					rising++
				}
				b.add(event(n, about("t", succeeded())))
			}
			if err := b.report(t.Context(), applied); err != nil {
				t.Fatal(err)
			}
			if !a.add(b.order.last, b.exceptions) {
				return
			}
			ack := a.take()
			nacked += len(ack.GetExceptions())
			if ack.GetThroughSequence() != last {
				t.Fatalf("acked through %d, want %d", ack.GetThroughSequence(), last)
			}
			for _, x := range ack.GetExceptions() {
				if x.GetNack().GetReason() != usherv1.NackReason_NACK_REASON_SEQUENCE {
					t.Fatalf("exception %v", x)
				}
			}
		}
		if taken != rising || taken+nacked != len(numbers) {
			t.Fatalf("%d applied and %d nacked of %d, of which %d rise", taken, nacked, len(numbers), rising)
		}
	})
}
