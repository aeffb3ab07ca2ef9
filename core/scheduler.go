package core

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Options are what a scheduler is built from.
type Options struct {
	// Store is required. The scheduler does not close it.
	Store Store
	// Shared says that other replicas use the store too.
	Shared bool
	// ShareStatsEvery is the pause between two exchanges of statistics with the replicas that use the store, which decide by
	// what all of them have learned then; 0 shares nothing.
	ShareStatsEvery time.Duration
	// StoreBudget bounds the time that one Select may spend on the store, each time it asks; 0 is no bound. What it asks for
	// later is not carried out.
	StoreBudget time.Duration
	// Degraded tells that the store was out of reach, and what stands in for it answers; nil is never. It must not block.
	Degraded func() bool
	// Clock is SystemClock when nil.
	Clock Clock
	// Observer may be nil.
	Observer Observer
	// Logger may be nil.
	Logger *slog.Logger
	// LeaseTTL is a lease's lifetime when the request names none; 0 is DefaultLeaseTTL.
	LeaseTTL time.Duration
	// MaxLeaseAge bounds a lease's life from its grant, however often it is renewed; 0 is no bound.
	MaxLeaseAge time.Duration
	// Owners are what attached owners keep to.
	Owners OwnerTerms
	// HistoryBytes bounds the memory of past decisions; 0 is DefaultHistoryBytes, negative keeps none.
	HistoryBytes int
	// Outcomes says what upstreams' answers mean; nil is the shipped table.
	Outcomes *OutcomeTable
	// SweepEvery is the pause between sweeps; 0 is DefaultSweepEvery.
	SweepEvery time.Duration
	// Entropy gives unpredictable words, for ids and for the draw of requests without an anchor;
	// required. No two schedulers on one store may get the same words.
	Entropy func() uint64
}

// Defaults of Options.
const (
	DefaultLeaseTTL     = 15 * time.Minute
	DefaultHistoryBytes = 16 << 20
	DefaultSweepEvery   = time.Second
)

// aging is how much longer a waiter of the next lower priority must have stood in line to go first.
const aging = 10 * time.Second

// Scheduler decides which account takes a request. All methods are safe for concurrent use.
type Scheduler struct {
	store    Store
	clock    Clock
	observer Observer
	logger   *slog.Logger
	entropy  func() uint64
	leaseTTL time.Duration
	maxAge   time.Duration // 0 is no bound
	budget   time.Duration // 0 is no bound
	shared   bool
	degraded func() bool
	started  time.Time

	names *names
	mint  *mint
	// secret guards signs, the key that tokens are signed with.
	secret   sync.Mutex
	signs    []byte
	registry *registry
	stats    stats
	colds    colds
	outcomes atomic.Pointer[OutcomeTable]
	counters counters
	ends     *leaseEnds
	owners   *owners
	history  *history
	hub      *hub
	line     *line
	// toldColds holds one token when another replica taught something.
	toldColds chan struct{}
	sharing   sharing
	// lifted says that pauses which others were told of before this replica started are over.
	lifted atomic.Bool

	runs    sync.Pool
	batches sync.Pool

	learned    atomic.Uint64 // changes of stats
	closed     atomic.Bool
	stop       context.CancelFunc
	background sync.WaitGroup
}

// New starts a scheduler without accounts; Close ends it. It asks the store for its
// secret within ctx, and fails with the store's error.
func New(ctx context.Context, opts Options) (*Scheduler, error) {
	if opts.Store == nil || opts.Entropy == nil {
		return nil, &Error{Kind: KindInternal, Text: "a scheduler needs a store and entropy"}
	}
	secret, err := opts.Store.Secret(ctx)
	if err != nil {
		return nil, err
	}
	m, err := newMint(secret)
	if err != nil {
		return nil, err
	}
	s := &Scheduler{
		store: opts.Store, clock: opts.Clock, observer: opts.Observer, logger: opts.Logger,
		entropy: opts.Entropy, leaseTTL: opts.LeaseTTL, maxAge: max(opts.MaxLeaseAge, 0),
		budget: max(opts.StoreBudget, 0), shared: opts.Shared, degraded: opts.Degraded, toldColds: make(chan struct{}, 1),
		sharing: sharing{every: max(opts.ShareStatsEvery, 0)},
		ends:    newLeaseEnds(), owners: newOwners(opts.Owners),
		signs: bytes.Clone(secret), names: newNames(opts.Entropy), mint: m, registry: newRegistry(),
	}
	if s.clock == nil {
		s.clock = SystemClock{}
	}
	if s.degraded == nil {
		s.degraded = func() bool { return false }
	}
	if s.observer == nil {
		s.observer = noObserver{}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.leaseTTL <= 0 {
		s.leaseTTL = DefaultLeaseTTL
	}
	s.colds.start(s.names.prefix)
	if opts.Outcomes == nil {
		if opts.Outcomes, err = NewOutcomeTable(nil); err != nil {
			return nil, err
		}
	}
	s.outcomes.Store(opts.Outcomes)
	historyBytes, sweepEvery := opts.HistoryBytes, opts.SweepEvery
	if historyBytes == 0 {
		historyBytes = DefaultHistoryBytes
	}
	if sweepEvery <= 0 {
		sweepEvery = DefaultSweepEvery
	}
	s.history = newHistory(historyBytes)
	s.runs.New = func() any { return new(run) }
	s.batches.New = func() any { return new(batch) }
	s.started = s.clock.Now()
	s.start(sweepEvery)
	return s, nil
}

// start runs what goes on in the background until Close.
func (s *Scheduler) start(sweepEvery time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.hub = newHub(s.clock, s.Snapshot)
	s.line = newLine(s, aging)
	s.background.Go(func() { s.sweep(ctx, sweepEvery) })
	s.background.Go(func() { s.hub.run(ctx) })
	s.background.Go(func() { s.line.attend(ctx) })
	s.background.Go(func() { s.watchOwners(ctx) })
	if s.shared {
		s.background.Go(func() { s.follow(ctx) })
	}
	if s.sharing.every > 0 {
		s.background.Go(func() { s.shareStats(ctx) })
	}
}

// Close stops what goes on in the background, ends subscriptions and attachments, and waits until ctx ends. Idempotent.
// Selects fail with KindClosed from then on; Reports and Renews are still taken.
func (s *Scheduler) Close(ctx context.Context) error {
	s.closed.Store(true)
	s.EndWaits()
	s.EndAttachments()
	s.stop()
	done := make(chan struct{})
	go func() {
		s.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// EndWaits ends every Select that stands in line with KindClosed, and lets no other join: a gateway
// whose usher is about to stop must not wait for it. Idempotent.
func (s *Scheduler) EndWaits() { s.line.close() }

// EndAttachments ends every attachment with KindClosed, and lets no other be made: an usher that is about to stop does
// not say any more who is silent, and its owners' leases stand. Idempotent.
func (s *Scheduler) EndAttachments() { s.owners.close() }

// Apply replaces accounts and policy as one. What is in use, bound and learned stays. On an error nothing changes.
// Errors: KindInvalidPool, KindStoreUnavailable, ctx's own.
func (s *Scheduler) Apply(ctx context.Context, accounts []pool.Account, policy decide.Policy) error {
	before := s.registry.current.Load().set
	if err := s.registry.apply(ctx, s.store, accounts, policy); err != nil {
		return err
	}
	set := s.registry.current.Load().set
	s.history.current(set)
	s.settleOthers()
	s.line.poolChanged()
	s.accountsChanged(s.changedBetween(before, set))
	return nil
}

// UseSecret has tokens signed with another secret of the store, as it was found to have; those that are out stay good.
// Errors: KindInternal for what is no key. Idempotent.
func (s *Scheduler) UseSecret(secret []byte) error {
	s.secret.Lock()
	defer s.secret.Unlock()
	if bytes.Equal(s.signs, secret) {
		return nil
	}
	if err := s.mint.use(secret); err != nil {
		return err
	}
	s.signs = bytes.Clone(secret)
	return nil
}

// UseOutcomes replaces the table that says what upstreams' answers mean.
func (s *Scheduler) UseOutcomes(t *OutcomeTable) { s.outcomes.Store(t) }

// Decisions lists recent decisions of this replica, newest first.
func (s *Scheduler) Decisions(filter DecisionFilter) []DecisionRecord { return s.history.list(filter) }

// Explain explains a past decision; KindDecisionUnknown when it is not kept.
func (s *Scheduler) Explain(id DecisionID) (*Explanation, error) { return s.history.explain(id) }
