package server

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edge is a server that serves, and a client of it.
type edge struct {
	server    *Server
	listener  *bufconn.Listener
	served    chan error
	conn      *grpc.ClientConn
	scheduler usherv1.SchedulerServiceClient
	metrics   usherv1.MetricsServiceClient
}

// newEdge serves over a pipe; at the test's end everything that was started must have ended.
func newEdge(tb testing.TB, opts Options) *edge {
	tb.Helper()
	s, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	e := &edge{server: s, listener: bufconn.Listen(1 << 20), served: make(chan error, 1)}
	go func() { e.served <- s.Serve(e.listener) }()
	e.conn = e.dial(tb)
	e.scheduler = usherv1.NewSchedulerServiceClient(e.conn)
	e.metrics = usherv1.NewMetricsServiceClient(e.conn)
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		// What a test left open is cut off.
		_ = s.Drain(ctx)
		if err := <-e.served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return e
}

func (e *edge) dial(tb testing.TB, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:pipe", append(opts,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return e.listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// world is an edge over the real scheduler and the memory store.
type world struct {
	*edge
	core *core.Scheduler
}

func newWorld(tb testing.TB, accounts []pool.Account, opts Options, change ...func(*core.Options)) *world {
	tb.Helper()
	scheduler := newCore(tb, accounts, nil, change...)
	opts.Scheduler, opts.Metrics, opts.Owners = scheduler, scheduler, scheduler
	return &world{edge: newEdge(tb, opts), core: scheduler}
}

func newCore(tb testing.TB, accounts []pool.Account, observer core.Observer, change ...func(*core.Options)) *core.Scheduler {
	tb.Helper()
	opts := core.Options{Observer: observer}
	for _, c := range change {
		c(&opts)
	}
	return newCoreAt(tb, accounts, opts, decide.Reference())
}

func newCoreAt(tb testing.TB, accounts []pool.Account, opts core.Options, policy decide.Policy) *core.Scheduler {
	tb.Helper()
	store, err := memstore.New(memstore.Options{Clock: opts.Clock})
	if err != nil {
		tb.Fatal(err)
	}
	var entropy atomic.Uint64
	opts.Store, opts.Entropy = store, func() uint64 { return entropy.Add(1) }
	scheduler, err := core.New(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := scheduler.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := scheduler.Apply(tb.Context(), accounts, policy); err != nil {
		tb.Fatal(err)
	}
	return scheduler
}

// accounts makes n accounts a1… of group g with the limit.
func accounts(n, limit int) []pool.Account {
	out := make([]pool.Account, n)
	for i := range out {
		out[i] = pool.Account{
			ID: fmt.Sprintf("a%d", i+1), Type: "oauth", Provider: "p", MaxConcurrency: limit,
			Groups: []string{"g"}, Transports: pool.TransportsOf(pool.HTTPSSE),
		}
	}
	return out
}

func (w *world) inUse(tb testing.TB) int {
	tb.Helper()
	snap, err := w.core.Snapshot(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return snap.Usage.Leases
}

// lease takes a slot and gives its token.
func (e *edge) lease(tb testing.TB) string {
	tb.Helper()
	r, err := e.scheduler.Select(tb.Context(), &usherv1.SelectRequest{})
	if err != nil {
		tb.Fatal(err)
	}
	if r.GetSelection() == nil {
		tb.Fatalf("no selection: %v", r)
	}
	return r.GetSelection().GetLeaseToken()
}

// within bounds a wait for something that must happen; the time is no measure of anything.
func within(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// await gives what comes, or fails.
func await[T any](tb testing.TB, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-within(tb).Done():
		tb.Fatal("nothing came")
		panic("unreachable")
	}
}

func about(token string, event *usherv1.ReportEvent) *usherv1.ReportEvent {
	event.Subject = &usherv1.ReportEvent_LeaseToken{LeaseToken: token}
	return event
}

func switched() *usherv1.ReportEvent {
	return &usherv1.ReportEvent{Event: &usherv1.ReportEvent_Switched{Switched: &usherv1.Switched{}}}
}

func firstToken() *usherv1.ReportEvent {
	return &usherv1.ReportEvent{Event: &usherv1.ReportEvent_FirstToken{FirstToken: &usherv1.FirstToken{}}}
}
