package gateway

import (
	"maps"
	"slices"
	"sync"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// Held is what this process holds and has been told about it. Heartbeats name every lease in it,
// however it was selected: one that is missing from two of them in a row ends. Safe for concurrent use.
type Held struct {
	mu     sync.Mutex
	leases map[string]struct{}  // guarded by mu
	shut   map[string]time.Time // guarded by mu: accounts to keep away from, and until when; zero: until told
}

// NewHeld holds nothing.
func NewHeld() *Held {
	return &Held{leases: map[string]struct{}{}, shut: map[string]time.Time{}}
}

// Add notes a lease, as soon as its Select is answered.
func (h *Held) Add(lease string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leases[lease] = struct{}{}
}

// Remove is for a lease whose finished or released_unused goes out, and for one that was lost.
func (h *Held) Remove(lease string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.leases, lease)
}

// Has says whether a lease still stands. Ask before more than one upstream call is made on it.
func (h *Held) Has(lease string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.leases[lease]
	return ok
}

// tokens are what a heartbeat names.
func (h *Held) tokens() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.leases))
}

// Avoid says whether usher told to stop using an account. Selects need not ask: usher knows.
func (h *Held) Avoid(account string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	until, told := h.shut[account]
	return told && (until.IsZero() || time.Now().Before(until))
}

func (h *Held) changed(c *usherv1.AccountStateChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.shut, c.AccountId)
	if c.BlockedReason == usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED {
		return
	}
	var until time.Time
	if c.BlockedUntil != nil {
		until = c.BlockedUntil.AsTime()
	}
	h.shut[c.AccountId] = until
}

// forgetAccounts is for a new stream, which tells anew of those that are blocked.
func (h *Held) forgetAccounts() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.shut)
}
