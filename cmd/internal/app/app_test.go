package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	usherv1 "usher.internal/gen/usher/v1"
)

func TestServesOnAllAddresses(t *testing.T) {
	socket := filepath.Join(socketDir(t), "u.sock")
	a := started(t, Options{Config: parsed(t, `
accounts: [{id: a}]
server: {listen: ["127.0.0.1:0", "unix://`+socket+`"], drain_timeout: 1s}
`)})
	if n := len(a.Addresses()); n != 2 {
		t.Fatalf("%d addresses", n)
	}
	for _, address := range a.Addresses() {
		take(t, dial(t, address))
	}
	if n := snapshot(t, dial(t, a.Addresses()[1])).GetLeasesLive(); n != 2 {
		t.Errorf("%d leases", n)
	}
	stop(t, a)
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket file: %v", err)
	}
}

func TestStopEndsOpenStreams(t *testing.T) {
	book := newLogBook()
	a := started(t, Options{Config: parsed(t, oneAccount), Log: book})
	conn := dial(t, a.Addresses()[0])
	token := take(t, conn) // the drain waits for its report in vain
	metrics, err := usherv1.NewMetricsServiceClient(conn).StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.Recv(); err != nil {
		t.Fatal(err)
	}
	reports, err := usherv1.NewSchedulerServiceClient(conn).ReportStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := reports.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{
		Hello: &usherv1.ClientHello{Owner: &usherv1.Owner{Name: "gw", Incarnation: "1"}},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := reports.Recv(); err != nil {
		t.Fatal(err)
	}
	stop(t, a)
	for {
		if _, err := metrics.Recv(); err != nil {
			break
		}
	}
	_, err = usherv1.NewSchedulerServiceClient(conn).Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
	}}})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
	book.await(t, `"stopped"`, 1)
}

func TestLifecycleIsIdempotent(t *testing.T) {
	a, err := New(t.Context(), Options{Config: parsed(t, oneAccount)})
	if err != nil {
		t.Fatal(err)
	}
	if a.Addresses() != nil {
		t.Error("addresses before the start")
	}
	for range 2 {
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		stop(t, a)
	}
	<-a.Done()

	never, err := New(t.Context(), Options{Config: parsed(t, oneAccount)})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, never)
	if err := never.Start(t.Context()); err == nil {
		t.Error("started after its stop")
	}
	late := make(chan struct{})
	never.Go("late", func(ctx context.Context) { <-ctx.Done(); close(late) })
	<-late
}

func TestStartStopStress(t *testing.T) {
	c := parsed(t, strings.Replace(oneAccount, "300ms", "20ms", 1))
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		a, err := New(t.Context(), Options{Config: c})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { _ = a.Start(t.Context()) })
			all.Go(func() {
				for _, address := range a.Addresses() {
					conn := dial(t, address)
					_, _ = usherv1.NewSchedulerServiceClient(conn).Select(t.Context(), &usherv1.SelectRequest{})
					_ = conn.Close()
				}
			})
			all.Go(func() { _ = a.Reload(t.Context()) })
			all.Go(func() { stop(t, a) })
		}
		all.Wait()
		stop(t, a)
	}
}

func TestNewTellsWhatIsWrong(t *testing.T) {
	if _, err := New(t.Context(), Options{}); err == nil {
		t.Error("neither file nor configuration")
	}
	if _, err := New(t.Context(), Options{File: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
	a, err := New(t.Context(), Options{Config: parsed(t, `{accounts: [], server: {listen: ["0.0.0.0:0"]}}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "--insecure") {
		t.Errorf("got %v", err)
	}
}

func TestTeardownIsLastInFirstOut(t *testing.T) {
	var tear teardown
	var order []string
	for _, name := range []string{"a", "b", "c"} {
		tear.push(name, func(context.Context) error {
			order = append(order, name)
			if name == "b" {
				return errors.New("broken")
			}
			return nil
		})
	}
	err := tear.run(t.Context())
	if err == nil || err.Error() != "b: broken" {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(order, []string{"c", "b", "a"}) {
		t.Errorf("order %v", order)
	}
	if err := tear.run(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestTeardownHasOneBound(t *testing.T) {
	var tear teardown
	release := make(chan struct{})
	defer close(release)
	ended := make(chan struct{})
	tear.push("first", func(context.Context) error { close(ended); return nil })
	tear.push("stuck", func(context.Context) error { <-release; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := tear.run(ctx)
	if err == nil || !strings.Contains(err.Error(), "stuck: did not end in time") {
		t.Errorf("got %v", err)
	}
	<-ended
}
