package core_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// recorder watches leases as a client sees them, with counts of its own. A lease is
// surely held from when its holder heard of it until the holder starts to
// give it back or its life is over, so what it counts is never more than what is in use.
type recorder struct {
	clock  *testClock
	limits map[string]int

	// mu guards what follows.
	mu     sync.Mutex
	leases map[string]map[string]time.Time // account → token → end
	seen   map[string]string               // token → account
	faults []string
	most   int
	grants int
}

func newRecorder(clock *testClock, limits map[string]int) *recorder {
	return &recorder{
		clock: clock, limits: limits,
		leases: map[string]map[string]time.Time{}, seen: map[string]string{},
	}
}

// held is told of a lease, or of its new end, by whoever just heard of it and has not begun to give it back.
func (r *recorder) held(account, token string, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.seen[token]; ok && before != account {
		r.faults = append(r.faults, fmt.Sprintf("one lease on %s and on %s", before, account))
	} else if !ok {
		r.grants++
		r.seen[token] = account
	}
	if r.leases[account] == nil {
		r.leases[account] = map[string]time.Time{}
	}
	r.leases[account][token] = end
	limit, known := r.limits[account]
	if !known {
		r.faults = append(r.faults, fmt.Sprintf("a lease on %q, which nobody has", account))
	}
	if limit <= 0 {
		return
	}
	now, live := r.clock.Now(), 0
	for token, end := range r.leases[account] {
		if now.Before(end) {
			live++
		} else {
			delete(r.leases[account], token)
		}
	}
	r.most = max(r.most, live)
	if live > limit {
		r.faults = append(r.faults, fmt.Sprintf("%d leases on %s, limit %d", live, account, limit))
	}
}

// letGo is told before a lease is given back.
func (r *recorder) letGo(account, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leases[account], token)
}

// count checks an account's number of leases that was read off a snapshot.
func (r *recorder) count(account string, inUse int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit := r.limits[account]; inUse < 0 || limit > 0 && inUse > limit {
		r.faults = append(r.faults, fmt.Sprintf("%d in use on %s, limit %d", inUse, account, limit))
	}
}

func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, fault := range r.faults {
		if i == 20 {
			t.Errorf("and %d more", len(r.faults)-i)
			break
		}
		t.Error(fault)
	}
	if r.grants == 0 || r.most == 0 {
		t.Errorf("nothing happened: %d grants, %d at most", r.grants, r.most)
	}
}
