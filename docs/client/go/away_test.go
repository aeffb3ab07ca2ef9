//go:build live

package gateway

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	usherv1 "usher.internal/gen/usher/v1"
)

// TestAway runs last: it kills usher while a request runs, goes on without it, and starts it again.
func TestAway(t *testing.T) {
	if os.Getenv("USHER_CTL") == "" {
		t.Fatal("USHER_CTL is not set; docs/client/run.sh sets it")
	}
	g, ctx := newGateway(t), t.Context()
	g.noLeak(t)
	s := NewStream(g.usher, g.owner, g.held)
	streaming, stop := context.WithCancel(ctx)
	defer stop()
	go s.Run(streaming)

	_, err := g.Handle(ctx, Request{ID: unique("req")}, func(_ context.Context, _, _ string, firstToken func(string)) error {
		usherctl(t, "kill")
		firstToken(unique("resp"))
		return nil // usher is gone, but the request is served
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.reports.kept) == 0 {
		t.Error("the events that could not be delivered were not kept")
	}
	s.Send(g.reports.kept[0])

	g.goesOn(t)

	// It is back: the same channel finds it, and what was kept is delivered.
	usherctl(t, "start")
	ready(t, conn(t))
	served, err := g.Handle(ctx, Request{ID: unique("req")}, (&upstream{}).answer(""))
	if err != nil || !slices.Contains(accounts(t, every), served) {
		t.Fatalf("after the restart: %q %v", served, err)
	}
	if len(g.reports.kept) != 0 {
		t.Errorf("%d events are still kept", len(g.reports.kept))
	}
	flush, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Flush(flush); err != nil {
		t.Errorf("the stream did not come back: %v", err)
	}
	g.noLeak(t)
}

// goesOn checks the choice without usher: the alternates of the last answer first, then the local list.
func (g *Gateway) goesOn(t *testing.T) {
	t.Helper()
	last := g.usher.(*watched).selected[0]
	var spare []string
	for _, a := range last.Alternates {
		spare = append(spare, a.AccountId)
	}
	if len(spare) == 0 {
		t.Fatal("the last answer named no alternates")
	}
	u := upstream{fail: map[string]error{}}
	served, err := g.Handle(t.Context(), Request{ID: unique("req")}, u.answer(""))
	if err != nil || served != spare[0] {
		t.Fatalf("without usher: %q %v, want %q of %v", served, err, spare[0], spare)
	}
	g.alternates[""] = g.alternates[""][:1]
	u.fail[spare[0]] = errors.New("503")
	served, err = g.Handle(t.Context(), Request{ID: unique("req")}, u.answer(""))
	if err != nil || served != "static-1" {
		t.Fatalf("without usher and alternates: %q %v", served, err)
	}
}

func usherctl(t *testing.T, what string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), os.Getenv("USHER_CTL"), what).CombinedOutput(); err != nil {
		t.Fatalf("usherctl %s: %v\n%s", what, err, out)
	}
}

// noLeak checks that all leases have ended: nobody else uses this usher.
func (g *Gateway) noLeak(t *testing.T) {
	t.Helper()
	m, err := usherv1.NewMetricsServiceClient(conn(t)).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil || m.Snapshot.LeasesLive != 0 {
		t.Errorf("%d leases are live: %v", m.GetSnapshot().GetLeasesLive(), err)
	}
}
