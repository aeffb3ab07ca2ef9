package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
)

// fileWatch looks when the state file is replaced.
type fileWatch struct {
	// mu guards what follows: before which looks the last two replacements were not seen.
	mu           sync.Mutex
	before, last time.Duration
}

func watchFile(t *testing.T, path string) *fileWatch {
	t.Helper()
	w := &fileWatch{}
	var stamp time.Time
	look := clockNow()
	repeat(t, 5*time.Millisecond, func(context.Context) {
		info, err := os.Stat(path)
		if err == nil && !info.ModTime().Equal(stamp) {
			stamp = info.ModTime()
			w.mu.Lock()
			w.before, w.last = w.last, look
			w.mu.Unlock()
		}
		look = clockNow()
	})
	return w
}

// safe is a time before which all that was answered is in the file: the file's last write began after the one before it had ended.
func (w *fileWatch) safe() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.before
}

// repeat does something again and again until the test ends.
func repeat(t *testing.T, every time.Duration, what func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			what(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		ended.Wait()
	})
}

// fleetWatch looks at what usher says of itself, over kills of it.
type fleetWatch struct {
	metrics usherv1.MetricsServiceClient

	// mu guards what follows.
	mu      sync.Mutex
	last    *usherv1.MetricsSnapshot
	most    map[string]int
	waiting uint64
	adopted uint64 // of ushers that were killed; so are those that follow
	above   uint64
	ends    map[string]uint64
	looks   int
	wrong   []string
}

func watchFleet(t *testing.T, conn *grpc.ClientConn) *fleetWatch {
	t.Helper()
	w := &fleetWatch{
		metrics: usherv1.NewMetricsServiceClient(conn), most: make(map[string]int), ends: make(map[string]uint64),
	}
	repeat(t, 20*time.Millisecond, func(ctx context.Context) { _, _ = w.look(ctx) }) // usher may be away
	return w
}

func (w *fleetWatch) look(ctx context.Context) (*usherv1.MetricsSnapshot, error) {
	resp, err := w.metrics.GetMetrics(ctx, &usherv1.GetMetricsRequest{})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := resp.GetSnapshot()
	w.looks++
	w.last, w.waiting = s, max(w.waiting, s.GetWaiting())
	for _, a := range s.GetAccounts() {
		n := int(a.GetInUse())
		// Leases that were taken up again may be above the limit; the next usher has them from the file.
		if limit := fleetLimits[a.GetAccountId()]; n > limit && w.above+s.GetLeasesOvercommittedTotal() == 0 {
			w.wrong = append(w.wrong, fmt.Sprintf("usher says that %d of %d are in use on %s", n, limit, a.GetAccountId()))
		}
		w.most[a.GetAccountId()] = max(w.most[a.GetAccountId()], n)
	}
	return s, nil
}

// found gives what usher said that must not be.
func (w *fleetWatch) found() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// restarts adds up what the usher that ends has counted.
func (w *fleetWatch) restarts() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		return
	}
	w.adopted += w.last.GetLeasesAdoptedTotal()
	w.above += w.last.GetLeasesOvercommittedTotal()
	for _, e := range w.last.GetLeaseEnds() {
		w.ends[e.GetReason().String()] += e.GetTotal()
	}
	w.last = nil
}
