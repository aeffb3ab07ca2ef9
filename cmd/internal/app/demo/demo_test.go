package demo

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"usher.internal/cmd/internal/app"
	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// hasty is a clock on which a pause of a second takes ten milliseconds.
type hasty struct{ core.SystemClock }

func (h hasty) After(d time.Duration) (<-chan time.Time, func()) { return h.SystemClock.After(d / 100) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPoolShowsWhatThereIs(t *testing.T) {
	now := time.Now()
	c, err := Config(now)
	if err != nil {
		t.Fatal(err)
	}
	providers, groups, limits := map[string]bool{}, map[string]bool{}, map[int]bool{}
	paused, deadline := 0, 0
	for _, a := range c.Accounts {
		providers[a.Provider], limits[a.MaxConcurrency] = true, true
		for _, g := range a.Groups {
			groups[g] = true
		}
		if a.State == "paused" {
			paused++
		}
		if a.RateLimitedUntil.After(now) {
			deadline++
		}
	}
	if len(c.Accounts) != 8 || len(providers) != 3 || len(groups) != 2 || len(limits) < 4 || paused != 1 || deadline != 1 {
		t.Errorf("%d accounts, %d providers, %d groups, %d limits, %d paused, %d with a deadline",
			len(c.Accounts), len(providers), len(groups), len(limits), paused, deadline)
	}
}

func TestLifeGivesBackWhatItHolds(t *testing.T) {
	c, err := Config(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.Server.Listen = []string{"127.0.0.1:0"}
	a, err := app.New(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(a.Addresses()[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	metrics := usherv1.NewMetricsServiceClient(conn)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- NewLife(a.Addresses()[0], hasty{}).Run(ctx) }()
	for {
		resp, err := metrics.GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		totals := resp.GetSnapshot().GetTotals()
		if totals.GetStickySessionHitTotal() > 0 && totals.GetStickyPreviousHitTotal() > 0 && totals.GetAccountSwitchTotal() > 0 {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	resp, err := metrics.GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if n := resp.GetSnapshot().GetLeasesLive(); n != 0 {
		t.Errorf("%d leases are still live", n)
	}
}
