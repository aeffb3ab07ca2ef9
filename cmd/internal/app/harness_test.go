package app

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"usher.internal/cmd/internal/config"
	usherv1 "usher.internal/gen/usher/v1"
)

// The client of a Cluster closes connections that it needs no more 5 s after it learned of that, and looks for nodes anew up to
// 1 s after it lost one, even when it is closed itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(
		m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
	)
}

// patience bounds what a test waits for; nothing is measured with it.
const patience = time.Minute

// logBook keeps log lines, and lets a test wait for one.
type logBook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func newLogBook() *logBook { return &logBook{grown: make(chan struct{})} }

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.grown)
	b.grown = make(chan struct{})
	return b.text.Write(p)
}

func (b *logBook) state() (string, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String(), b.grown
}

func (b *logBook) count(what string) int {
	text, _ := b.state()
	return strings.Count(text, what)
}

// await waits until what was written n times.
func (b *logBook) await(t *testing.T, what string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		text, grown := b.state()
		if strings.Count(text, what) >= n {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("%q is not there %d times in\n%s", what, n, text)
		}
	}
}

// write writes a file in place, at once: nobody finds it empty or half written, however late the next step comes. What was longer ends
// in empty lines.
func write(t *testing.T, path, text string) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text + strings.Repeat("\n", max(0, len(old)-len(text))))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// replace puts a whole file in another's place, as careful tools do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func parsed(t testing.TB, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const oneAccount = `
accounts: [{id: a, max_concurrency: 2}]
server: {listen: ["127.0.0.1:0"], drain_timeout: 300ms}
`

// started starts an usher that the test's end stops.
func started(t testing.TB, opts Options) *App {
	t.Helper()
	a, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

func stop(t testing.TB, a *App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func snapshot(t *testing.T, conn *grpc.ClientConn) *usherv1.MetricsSnapshot {
	t.Helper()
	resp, err := usherv1.NewMetricsServiceClient(conn).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetSnapshot()
}

func take(t *testing.T, conn *grpc.ClientConn) string {
	t.Helper()
	resp, err := usherv1.NewSchedulerServiceClient(conn).Select(t.Context(), &usherv1.SelectRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetSelection() == nil {
		t.Fatalf("no account: %v", resp)
	}
	return resp.GetSelection().GetLeaseToken()
}

// socketDir has a short path, for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "usher") //nolint:usetesting // its path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
