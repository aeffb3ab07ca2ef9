// Package memstore is the store of a single process: leases, bindings, waiters,
// cooldowns and pushed accounts in its own memory, each call atomic under one lock.
// Every call of the interface that names a round trip costs none here.
//
// Memory is bounded by what lives: leases, waiters, bindings and cooldowns go when they
// end, marks after their life or when there are too many. Tables keep the
// size of their largest moment.
package memstore

import (
	"context"
	"math"
	"sync"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/secret"
	"usher.internal/store/signal"
)

// Defaults of Options.
const (
	DefaultMarkTTL  = 5 * time.Minute
	DefaultMarksMax = 1 << 20
)

// Options are what a store is built from.
type Options struct {
	// Clock decides all expiry; nil is core.SystemClock.
	Clock core.Clock
	// MarkTTL is how long an ended lease and a released request id are remembered; 0 is DefaultMarkTTL.
	MarkTTL time.Duration
	// Handover is how long a slot that came free while somebody waits, or is of an account that was made known then, is for those in line
	// alone (core.Grant.InLine); 0 is for who keeps newcomers behind the line itself.
	Handover time.Duration
	// MarksMax is the most marks at a time, the oldest goes first; 0 is DefaultMarksMax.
	MarksMax int
	// Secret is the key that tokens are signed with, 32 bytes; nil draws one at the first call.
	Secret []byte
}

// Store implements core.Store. It is safe for concurrent use.
type Store struct {
	clock   core.Clock
	start   time.Time
	markTTL int64
	// handover is 0 where newcomers find what came free at once.
	handover int64

	// mu guards all that follows. A subscriber's lock is taken inside it, never around it.
	mu        sync.Mutex
	accounts  []*account       // by number
	byID      map[string]int32 // account id → number
	roster    []*account       // by ordinal; nil for an ordinal without an id
	loads     []decide.Load    // by ordinal, kept beside the counts of the accounts
	tenants   map[string]*tenant
	holders   map[string]*holder // by the owner's name
	leases    leases
	marks     marks
	bindings  lapsing[core.BindingKey, int32] // to the account's number
	stand     lapsing[core.BindingKey, int32] // substitutes of sessions, to the account's number
	waiters   map[core.WaiterID]*waiter
	waitOrder timeline[*waiter]
	cooldowns lapsing[coolKey, core.Cooldown]
	directory directory
	signals   *signal.Hub
	secret    []byte
	changes   uint64 // of leases and marks
}

var _ core.Store = (*Store)(nil)

// New starts an empty store.
func New(opts Options) (*Store, error) {
	switch {
	case opts.MarkTTL < 0:
		return nil, &core.Error{Kind: core.KindInternal, Text: "memstore: the life of marks is negative"}
	case opts.Handover < 0:
		return nil, &core.Error{Kind: core.KindInternal, Text: "memstore: the time for those in line is negative"}
	case opts.MarksMax < 0 || opts.MarksMax > maxMarks:
		return nil, &core.Error{Kind: core.KindInternal, Text: "memstore: the number of marks is out of range"}
	case opts.Secret != nil && len(opts.Secret) != secret.Size:
		return nil, &core.Error{Kind: core.KindInternal, Text: "memstore: the secret is not 32 bytes long"}
	}
	if opts.Clock == nil {
		opts.Clock = core.SystemClock{}
	}
	if opts.MarkTTL == 0 {
		opts.MarkTTL = DefaultMarkTTL
	}
	if opts.MarksMax == 0 {
		opts.MarksMax = DefaultMarksMax
	}
	s := &Store{
		clock:     opts.Clock,
		start:     opts.Clock.Now(),
		markTTL:   int64(opts.MarkTTL),
		handover:  int64(opts.Handover),
		byID:      make(map[string]int32),
		tenants:   make(map[string]*tenant),
		holders:   make(map[string]*holder),
		marks:     marks{most: uint32(opts.MarksMax)},
		bindings:  newLapsing[core.BindingKey, int32](),
		stand:     newLapsing[core.BindingKey, int32](),
		waiters:   make(map[core.WaiterID]*waiter),
		cooldowns: newLapsing[coolKey, core.Cooldown](),
		directory: newDirectory(),
		signals:   signal.NewHub(),
		secret:    append([]byte(nil), opts.Secret...),
	}
	s.leases.init(&s.marks)
	s.waitOrder.moved = func(w *waiter, place int32) { w.place = place }
	return s, nil
}

// Secret gives the key that tokens are signed with.
func (s *Store) Secret(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.secret) == 0 {
		s.secret = secret.Draw()
	}
	return append([]byte(nil), s.secret...), nil
}

// ShareStats keeps nothing: there is no other replica.
func (s *Store) ShareStats(ctx context.Context, _ []byte, _ time.Duration) ([][]byte, error) {
	return nil, ctx.Err()
}

// Signals delivers what changed until ctx ends or the store is closed.
func (s *Store) Signals(ctx context.Context) (<-chan core.Signal, error) {
	return s.signals.Subscribe(ctx)
}

// Close ends the subscriptions and waits for them. What the store keeps stays readable.
func (s *Store) Close() error {
	s.signals.Close()
	return nil
}

// tick reads the clock and ends what is over, so that whatever follows under
// the same lock counts what lives at that instant. Times are nanoseconds since
// start, which a jump of the wall clock does not move.
func (s *Store) tick() (now int64) {
	now = int64(s.clock.Now().Sub(s.start))
	for s.leases.order.due(now) {
		s.expire(now, s.leases.order.items[0].key)
	}
	for s.waitOrder.due(now) {
		s.dismiss(s.waitOrder.items[0].key)
	}
	s.tidyMarks(now, marksATick)
	return now
}

// wall gives a time for answers.
func (s *Store) wall(at int64) time.Time { return s.start.Add(time.Duration(at)) }

// since gives the store's time for one on its clock.
func (s *Store) since(t time.Time) int64 { return int64(t.Sub(s.start)) }

// after gives now + ttl; a time beyond all counting is never.
func after(now int64, ttl time.Duration) int64 {
	if ttl > 0 && now > math.MaxInt64-int64(ttl) {
		return math.MaxInt64
	}
	return now + int64(ttl)
}
