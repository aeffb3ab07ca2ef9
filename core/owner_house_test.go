package core_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

// withOwners runs a test on a house whose clock is the bubble's, which moves only when all sleep.
func withOwners(t *testing.T, accounts []pool.Account, test func(h *house), options ...houseOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := memstore.New(memstore.Options{Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		test(settle(t, store, accounts, options...))
	})
}

// settled counts schedulers, so that no two give the same ids.
var settled atomic.Uint64

// settle starts a scheduler on a store, until the test ends.
func settle(t *testing.T, store *memstore.Store, accounts []pool.Account, options ...houseOption) *house {
	t.Helper()
	h := &house{tb: t, store: store, policy: decide.Reference()}
	opts := core.Options{Store: store, Entropy: seeded(settled.Add(1)), HistoryBytes: 1 << 20}
	for _, option := range options {
		option(h, &opts)
	}
	var err error
	if h.Scheduler, err = core.New(context.Background(), opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	if err := h.ImportState(context.Background(), h.section); err != nil {
		t.Fatal(err)
	}
	h.apply(accounts...)
	return h
}

// later lets time pass, and what is due then happen.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func ofOwner(name, incarnation string) core.Request {
	req := mainRequest
	req.Owner = core.Owner{Name: name, Incarnation: incarnation}
	return req
}

// takes gives the tokens of n leases of an owner.
func (h *house) takes(req core.Request, n int) (tokens []string) {
	h.tb.Helper()
	for range n {
		tokens = append(tokens, h.take(req).Token)
	}
	return tokens
}

func (h *house) attach(name, incarnation string, replaces bool) *core.Attachment {
	h.tb.Helper()
	a, err := h.Attach(context.Background(), core.Owner{Name: name, Incarnation: incarnation}, replaces)
	if err != nil {
		h.tb.Fatal(err)
	}
	return a
}

func (h *house) beat(a *core.Attachment, tokens ...string) {
	h.tb.Helper()
	if err := a.Heartbeat(context.Background(), tokens); err != nil {
		h.tb.Fatal(err)
	}
}

// beats sends heartbeats as often as the server asks for, for a time.
func (h *house) beats(a *core.Attachment, d time.Duration, tokens ...string) {
	h.tb.Helper()
	for every := h.OwnerTerms().HeartbeatInterval; d > 0; d -= every {
		h.beat(a, tokens...)
		later(min(every, d))
	}
}

// hears takes what an attachment has to tell now.
func (h *house) hears(a *core.Attachment) []core.OwnerEvent {
	h.tb.Helper()
	synctest.Wait()
	events, err := a.Take()
	if err != nil {
		h.tb.Fatal(err)
	}
	return events
}

// hearsLost checks that the attachment tells of these leases, in any order, and of nothing else.
func (h *house) hearsLost(a *core.Attachment, how core.LeaseEnd, tokens ...string) {
	h.tb.Helper()
	events := h.hears(a)
	left := make(map[string]bool)
	for _, token := range tokens {
		left[token] = true
	}
	for _, e := range events {
		if e.Kind != core.OwnerLeaseLost || e.End != how || !left[e.Token] {
			h.tb.Fatalf("heard %+v", e)
		}
		delete(left, e.Token)
	}
	if len(left) > 0 {
		h.tb.Fatalf("heard of %d of %d lost leases", len(events), len(tokens))
	}
}

// ended gives a count of the snapshot.
func (h *house) ended(owner, account string, how core.LeaseEnd) uint64 {
	h.tb.Helper()
	for _, c := range h.state().LeaseEnds {
		if c.Owner == owner && c.Account == account && c.End == how {
			return c.Total
		}
	}
	return 0
}

// flaky is a store whose calls for owners fail while it is broken.
type flaky struct {
	core.Store
	broken atomic.Bool
	// asking and asked run once, before and after the leases of an owner are listed.
	asking, asked atomic.Pointer[func()]
}

var errOwnersBroken = &core.Error{Kind: core.KindStoreUnavailable, Text: "broken"}

func (f *flaky) LeasesOf(ctx context.Context, name string) ([]core.Lease, error) {
	if f.broken.Load() {
		return nil, errOwnersBroken
	}
	if asking := f.asking.Swap(nil); asking != nil {
		(*asking)()
	}
	held, err := f.Store.LeasesOf(ctx, name)
	if asked := f.asked.Swap(nil); asked != nil {
		(*asked)()
	}
	return held, err
}

func (f *flaky) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	if f.broken.Load() {
		return nil, errOwnersBroken
	}
	return f.Store.End(ctx, ids, how)
}

func (f *flaky) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	if f.broken.Load() {
		return errOwnersBroken
	}
	return f.Store.Renew(ctx, renewals, results)
}

// wrap puts f between scheduler and store.
func wrap(f *flaky) houseOption {
	return over(func(s core.Store) core.Store {
		f.Store = s
		return f
	})
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func logged(l *lines) houseOption {
	return with(func(o *core.Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) })
}
