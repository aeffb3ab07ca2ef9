package outage

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/secret"
	"usher.internal/store/signal"
)

// Mode is what happens while the primary is out of reach.
type Mode uint8

const (
	// LocalShare means: each replica grants its part of the slots.
	LocalShare Mode = iota
	// LocalFull means: each replica grants as if it were alone.
	LocalFull
	// FailClosed means: nothing is granted.
	FailClosed
)

// Defaults of Options.
const (
	DefaultSettle  = 10 * time.Minute
	DefaultBarrier = 30 * time.Second
)

const (
	// probeEvery is the pause between two probes of a primary that is out of reach.
	probeEvery = 100 * time.Millisecond
	// viewEvery is how often the loads of all accounts are looked at.
	viewEvery = time.Second
	// publishTime is how long a replica that lives may take to publish after the store answers: the others wait as long.
	publishTime = 3 * time.Second
)

// Primary is the shared store.
type Primary interface {
	core.Store
	Kept
	// Self names this replica, Members those that lived at the last heartbeat. Neither blocks; both are safe for concurrent use.
	Self() string
	Members() []string
	// Epoch names the life of the store's memory that was met last. It does not block and is safe for concurrent use.
	Epoch() string
	// StatusOf tells of leases whether they live (EventApplied), ended (EventAlreadyReleased), or nothing is known of them (EventUnknown).
	StatusOf(ctx context.Context, ids []core.LeaseID, statuses []core.EventStatus) error
	// Sessions changes when another server may be the store: what was written last may be lost there. It does not block and is safe
	// for concurrent use.
	Sessions() uint64
}

// Kept is about what each replica looks after by the shared store's word.
type Kept interface {
	// EndKept is End for those of the leases that this replica looks after: the others are left alone.
	EndKept(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error)
}

// Options are what a store is built from.
type Options struct {
	// Primary is required. It is closed with the store.
	Primary Primary
	Mode    Mode
	// Clock is core.SystemClock when nil.
	Clock core.Clock
	// Logger may be nil.
	Logger *slog.Logger
	// Settle is how long after its begin most leases of before an outage have ended; 0 is DefaultSettle.
	Settle time.Duration
	// Barrier is how long after an outage a replica that was a member and is not seen again may still come back with
	// what it holds; 0 is DefaultBarrier.
	Barrier time.Duration
	// MarkTTL is the primary's, and the memory store's during an outage; 0 is the default of both.
	MarkTTL time.Duration
	// Replicas is how many there are when none was ever heard of; 0 is 1.
	Replicas int
	// Recovered is called, by one goroutine at a time, after each recovery and with the key that the primary signs
	// tokens with; nil for nobody.
	Recovered func(key []byte)
}

// Store implements core.Store. It is safe for concurrent use.
type Store struct {
	primary Primary
	opts    Options
	clock   core.Clock
	logger  *slog.Logger

	// phase is read by every call. Calls to an island hold switching for reading, so that none is left behind by a recovery.
	phase     atomic.Pointer[phase]
	switching sync.RWMutex

	ledger   *ledger
	pending  settlements
	parted   parted
	ends     ends
	leavers  leavers
	line     line
	bindings bindings
	view     atomic.Pointer[view]
	// untold says that some of the ends are to be told again.
	untold atomic.Bool

	// mu guards what follows.
	mu         sync.Mutex
	roster     core.Roster
	registered bool // with the primary
	key        []byte
	members    []string // that were heard of last
	epoch      string
	sessions   uint64 // in which all was told
	steady     steadiness

	hub     *signal.Hub
	kick    chan struct{} // holds one token when the watch is to look
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ core.Store = (*Store)(nil)

// phase is where the store is: shared has neither, island has its store, joint has shares alone. It is not changed, save the island's store.
type phase struct {
	island *island
	// shares bind besides the primary; nil when they do not.
	shares map[string]int
	until  time.Time // of a joint phase
	since  time.Time
	failed error // why it began
}

// view is what was in use at one instant.
type view struct {
	inUse map[string]int
	look  uint64 // the ledger's number of it
}

// New wraps a primary store.
func New(opts Options) *Store {
	if opts.Clock == nil {
		opts.Clock = core.SystemClock{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Settle == 0 {
		opts.Settle = DefaultSettle
	}
	if opts.Barrier == 0 {
		opts.Barrier = DefaultBarrier
	}
	if opts.MarkTTL == 0 {
		opts.MarkTTL = memstore.DefaultMarkTTL
	}
	s := &Store{
		primary: opts.Primary, opts: opts, clock: opts.Clock, logger: opts.Logger,
		ledger: newLedger(), hub: signal.NewHub(), kick: make(chan struct{}, 1),
	}
	s.phase.Store(&phase{})
	s.life, s.stop = context.WithCancel(context.Background())
	// It is listened to from now on, or what changes meanwhile would not be heard.
	if signals, err := opts.Primary.Signals(s.life); err != nil {
		s.logger.Warn("the store gives no signals", "error", err)
	} else {
		s.running.Go(func() { s.forward(signals) })
	}
	s.running.Go(func() { s.watch(s.life) })
	return s
}

// Degraded tells that the primary is out of reach, or was until a moment ago.
func (s *Store) Degraded() bool {
	p := s.phase.Load()
	return p.island != nil || p.failed != nil || p.shares != nil
}

// Holds tells that this replica looks after leases, as far as it knows.
func (s *Store) Holds() bool { return len(s.ledger.living(s.clock.Now())) > 0 }

// Owes tells that the primary has not been told of all that was reported here of leases that it may have. Who left the line is not told of: it is counted no
// longer than this replica is.
func (s *Store) Owes() bool { return s.pending.owed() > 0 }

// Close ends what runs, and the primary. What that was not told of is lost. Idempotent.
func (s *Store) Close() error {
	s.stop()
	s.hub.Close()
	s.running.Wait()
	s.switching.Lock()
	defer s.switching.Unlock()
	if n := s.pending.owed(); n > 0 {
		s.logger.Warn("closed before the store was told of all that was reported; those leases stand there until their time is over", "reports", n)
	}
	s.pending.forget(settlementsMost)
	if i := s.phase.Load().island; i != nil {
		i.close()
	}
	return s.primary.Close()
}

// Secret gives the key that tokens are signed with: without the primary one of its own, which Recovered replaces.
func (s *Store) Secret(ctx context.Context) ([]byte, error) {
	key, err := s.primary.Secret(ctx)
	if core.KindOf(err) == core.KindStoreUnavailable && err != nil {
		s.fail(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.key == nil {
			s.key = secret.Draw()
		}
		return append([]byte(nil), s.key...), nil
	}
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.key = append([]byte(nil), key...)
	}
	return key, err
}

// Signals delivers what changed until ctx ends or the store is closed.
func (s *Store) Signals(ctx context.Context) (<-chan core.Signal, error) { return s.hub.Subscribe(ctx) }

// forward passes the primary's signals on, which end with the store.
func (s *Store) forward(signals <-chan core.Signal) {
	for signal := range signals {
		s.hub.Publish(signal)
	}
}
