package app

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/redisstore"
)

// TestStopsDuringAnOutage: a stop waits for Redis to be told of what was reported, as long as it may, and says what is lost; with nothing
// reported it does not wait.
func TestStopsDuringAnOutage(t *testing.T) {
	const lost = "closed before the store was told of all that was reported"
	for name, c := range map[string]struct {
		drain          string
		reports, comes bool
		inUse          int
	}{
		"redis comes":      {drain: "10m", reports: true, comes: true},
		"it does not":      {drain: "300ms", reports: true, inUse: 1},
		"nothing reported": {drain: "10m"},
	} {
		t.Run(name, func(t *testing.T) {
			server := miniredis.RunT(t)
			book := newLogBook()
			text := "accounts: [{id: a, max_concurrency: 2}]\nserver: {listen: ['127.0.0.1:0'], drain_timeout: " + c.drain + "}\n" +
				"redis: {urls: ['redis://" + server.Addr() + "'], budget: 10s}\n"
			a := started(t, Options{Config: parsed(t, text), Log: book})
			conn := dial(t, a.Addresses()[0])
			var token string
			if c.reports {
				token = take(t, conn)
			}
			server.SetError("LOADING Redis is loading the dataset in memory")
			book.await(t, "going on without it", 1)
			if c.reports {
				finish(t, conn, token)
			}
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				stop(t, a)
			}()
			book.await(t, "stopping", 1)
			if c.comes {
				server.SetError("")
			}
			<-stopped
			server.SetError("")
			if n := book.count(lost); n != c.inUse {
				t.Errorf("the log says %d times that reports are lost", n)
			}
			if n := leasesIn(t, server); n != c.inUse {
				t.Errorf("%d in use", n)
			}
		})
	}
}

func finish(t *testing.T, conn *grpc.ClientConn, token string) {
	t.Helper()
	_, err := usherv1.NewSchedulerServiceClient(conn).Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// leasesIn counts the leases that a server knows.
func leasesIn(t *testing.T, server *miniredis.Miniredis) int {
	t.Helper()
	s, err := redisstore.New(redisstore.Options{Server: redisstore.Server{Addresses: []string{server.Addr()}}, Budget: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	<-s.Reached()
	u, err := s.Usage(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	return u.Leases
}
