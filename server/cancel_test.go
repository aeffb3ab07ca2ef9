package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// answers keeps the tokens of selections.
type answers struct {
	// mu guards tokens.
	mu     sync.Mutex
	tokens map[string]bool
}

func (a *answers) add(r *usherv1.SelectResponse) {
	if token := r.GetSelection().GetLeaseToken(); token != "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.tokens[token] = true
	}
}

// observe takes down what the server's handler answered with OK, whether a client hears of it or not.
func (a *answers) observe(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	if r, ok := resp.(*usherv1.SelectResponse); ok && err == nil {
		a.add(r)
	}
	return resp, err
}

func (a *answers) list() (tokens []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for token := range a.tokens {
		tokens = append(tokens, token)
	}
	return tokens
}

// impatient is a world whose clients give Selects up at random moments. It knows what was answered, and what came.
type impatient struct {
	*world
	answered, came answers
}

func newImpatient(t *testing.T, limit int) *impatient {
	t.Helper()
	i := &impatient{answered: answers{tokens: make(map[string]bool)}, came: answers{tokens: make(map[string]bool)}}
	i.world = newWorld(t, nil, Options{GRPC: []grpc.ServerOption{grpc.ChainUnaryInterceptor(i.answered.observe)}})
	longLine(t, i.world, limit)
	return i
}

// giveUp has 200 clients ask 10 times each. They finish what they were given, or, released, release
// each by its request id whether they were or not.
func (i *impatient) giveUp(t *testing.T, wait time.Duration, released bool) {
	t.Helper()
	var all sync.WaitGroup
	for client := range 200 {
		random := rand.New(rand.NewPCG(uint64(client), 1))
		all.Go(func() {
			for n := range 10 {
				req := &usherv1.SelectRequest{Wait: durationpb.New(wait)}
				if released {
					req.RequestId = fmt.Sprintf("%d-%d", client, n)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(10_000))*time.Microsecond)
				r, err := i.scheduler.Select(ctx, req)
				cancel()
				if err == nil {
					i.came.add(r)
				}
				if released {
					i.report(t, relinquished(req.GetRequestId()))
				} else if token := r.GetSelection().GetLeaseToken(); token != "" {
					i.report(t, about(token, succeeded()))
				}
			}
		})
	}
	all.Wait()
}

func (i *impatient) report(t *testing.T, event *usherv1.ReportEvent) {
	t.Helper()
	if _, err := i.scheduler.Report(t.Context(), report(event)); err != nil {
		t.Error(err)
	}
}

func relinquished(id string) *usherv1.ReportEvent {
	return released(&usherv1.RequestRef{RequestId: id})
}

// leaves waits until nobody waits and the condition holds.
func (w *world) leaves(t *testing.T, what string, is func() bool) {
	t.Helper()
	for ctx := within(t); w.waiting(t) > 0 || !is(); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatalf("in vain: %s; %d in use, %d waiting", what, w.inUse(t), w.waiting(t))
		}
	}
}

// What a client gave up and released by its request id leaves nothing, whenever the answer left the server.
func TestCancelledSelectsThatAreReleasedLeaveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		limit int
		wait  time.Duration
	}{"room for all": {1 << 20, 0}, "in line": {8, time.Minute}} {
		t.Run(name, func(t *testing.T) {
			i := newImpatient(t, c.limit)
			i.giveUp(t, c.wait, true)
			i.leaves(t, "nothing is in use", func() bool { return i.inUse(t) == 0 })
			t.Logf("%d were answered, %d answers came", len(i.answered.list()), len(i.came.list()))
		})
	}
}

// What is left of Selects without a request id are leases whose answer had left the server: when those are finished, nothing is.
func TestCancelledSelectsLeaveOnlyWhatWasAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		limit int
		wait  time.Duration
	}{"room for all": {1 << 20, 0}, "in line": {8, time.Minute}} {
		t.Run(name, func(t *testing.T) {
			i := newImpatient(t, c.limit)
			i.giveUp(t, c.wait, false)
			i.leaves(t, "in use is what was answered and did not come", func() bool {
				return i.inUse(t) == len(i.answered.list())-len(i.came.list())
			})
			t.Logf("%d were answered, %d answers came, %d in use", len(i.answered.list()), len(i.came.list()), i.inUse(t))
			i.leaves(t, "nothing is in use after all that was answered is finished", func() bool {
				for _, token := range i.answered.list() {
					i.report(t, about(token, succeeded()))
				}
				return i.inUse(t) == 0
			})
		})
	}
}

func TestCancelledWaitsLeaveNoGoroutine(t *testing.T) {
	const few = 10 // gRPC has some that come and go when they like, and the tests before this one may leave some for a moment
	w := newWorld(t, nil, Options{})
	longLine(t, w, 1)
	w.lease(t)
	before := runtime.NumGoroutine()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		c := gather(ctx, t, w, 100)
		cancel()
		c.all.Wait()
	}
	w.leaves(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+few })
	if n := w.inUse(t); n != 1 {
		t.Errorf("%d in use", n)
	}
}
