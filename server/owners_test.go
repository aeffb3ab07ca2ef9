package server

import (
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

func ownedBy(name, incarnation string) *usherv1.SelectRequest {
	return &usherv1.SelectRequest{Owner: &usherv1.Owner{Name: name, Incarnation: incarnation}}
}

func (w *world) owned(t *testing.T, req *usherv1.SelectRequest) string {
	t.Helper()
	r, err := w.scheduler.Select(t.Context(), req)
	if err != nil || r.GetSelection() == nil {
		t.Fatalf("got %v, %v", r, err)
	}
	return r.GetSelection().GetLeaseToken()
}

func beat(sequence uint64, tokens ...string) *usherv1.ReportStreamRequest {
	return &usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{
		Heartbeat: &usherv1.Heartbeat{Sequence: sequence, LeaseTokens: tokens},
	}}
}

// lost reads until a lease is lost.
func lost(t *testing.T, stream clientStream) *usherv1.LeaseLost {
	t.Helper()
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if l := m.GetLeaseLost(); l != nil {
			return l
		}
	}
}

func TestOwnerLearnsOfALeaseThatExpired(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{})
	stream := w.open(t, "o", "1")
	req := ownedBy("o", "1")
	req.LeaseTtl = durationpb.New(time.Second)
	token := w.owned(t, req)
	if l := lost(t, stream); l.GetLeaseToken() != token || l.GetReason() != usherv1.LeaseEnd_LEASE_END_EXPIRED {
		t.Errorf("lost %v", l)
	}
}

func TestForgottenLeaseEndsAfterTwoHeartbeats(t *testing.T) {
	w := newWorld(t, accounts(1, 5), Options{})
	stream := w.open(t, "o", "1")
	forgotten, kept := w.owned(t, ownedBy("o", "1")), w.owned(t, ownedBy("o", "1"))
	send(t, stream, beat(1, kept))
	if got := acked(t, stream, 1, 0); len(got) != 0 || w.inUse(t) != 2 {
		t.Errorf("after one heartbeat: %v, %d in use", got, w.inUse(t))
	}
	send(t, stream, beat(2, kept))
	if l := lost(t, stream); l.GetLeaseToken() != forgotten || l.GetReason() != usherv1.LeaseEnd_LEASE_END_FORGOTTEN {
		t.Errorf("lost %v", l)
	}
	if n := w.inUse(t); n != 1 {
		t.Errorf("%d in use", n)
	}
}

func TestNextIncarnationReplacesThePrevious(t *testing.T) {
	w := newWorld(t, accounts(1, 5), Options{})
	old := w.open(t, "o", "1")
	token := w.owned(t, ownedBy("o", "1"))
	other := w.owned(t, ownedBy("p", "1"))
	stream, err := w.scheduler.ReportStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := hello("o", "2")
	first.GetHello().ReplacesPrevious = true
	send(t, stream, first)
	m, err := stream.Recv()
	if terms := m.GetHello(); err != nil || terms.GetHeartbeatInterval().AsDuration() != 3*time.Second ||
		terms.GetHeartbeatTimeout().AsDuration() != 10*time.Second || terms.GetOwnerGrace().AsDuration() != 10*time.Second {
		t.Errorf("greeted with %v, %v", m, err)
	}
	if n := w.inUse(t); n != 1 {
		t.Errorf("%d in use, want only that of another owner", n)
	}
	if l := lost(t, old); l.GetLeaseToken() != token || l.GetReason() != usherv1.LeaseEnd_LEASE_END_REPLACED {
		t.Errorf("lost %v", l)
	}
	r, err := w.scheduler.Report(t.Context(), report(about(other, succeeded())))
	if err != nil || r.GetResults()[0].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("the other owner's lease: %v, %v", r, err)
	}
}

func TestGoneOwnersLeasesEndAfterTheGrace(t *testing.T) {
	w := newWorld(t, accounts(1, 5), Options{}, func(o *core.Options) {
		o.Owners = core.OwnerTerms{HeartbeatInterval: 100 * time.Millisecond, HeartbeatTimeout: time.Hour, OwnerGrace: 300 * time.Millisecond}
	})
	stream := w.open(t, "o", "1")
	w.owned(t, ownedBy("o", "1"))
	w.lease(t)
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for ctx := within(t); w.inUse(t) != 1; {
		if ctx.Err() != nil {
			t.Fatalf("%d in use", w.inUse(t))
		}
		runtime.Gosched()
	}
	m, err := w.metrics.GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ends := m.GetSnapshot().GetLeaseEnds()
	if len(ends) != 1 || ends[0].GetOwner() != "o" || ends[0].GetReason() != usherv1.LeaseEnd_LEASE_END_OWNER_SILENT || ends[0].GetTotal() != 1 {
		t.Errorf("counted %v", ends)
	}
}
