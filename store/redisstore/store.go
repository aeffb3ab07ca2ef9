package redisstore

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core"
	"usher.internal/store/signal"
)

// Defaults of Options.
const (
	DefaultNamespace     = "default"
	DefaultMarkTTL       = 5 * time.Minute
	DefaultStoreLeaseTTL = 30 * time.Second
	DefaultBudget        = 50 * time.Millisecond
)

// Options are what a store is built from.
type Options struct {
	// Server says where Redis is and how to get in.
	Server Server
	// Namespace is what replicas that share one truth have in common; blank is DefaultNamespace. At most 64 bytes, no braces.
	Namespace string
	// Clock times calls; it decides no expiry. nil is core.SystemClock.
	Clock core.Clock
	// Logger may be nil.
	Logger *slog.Logger
	// MarkTTL is how long an ended lease and a released request id are remembered; 0 is DefaultMarkTTL.
	MarkTTL time.Duration
	// StoreLeaseTTL is how long after its last heartbeat a replica's leases stand; 0 is DefaultStoreLeaseTTL. It beats every third of that.
	StoreLeaseTTL time.Duration
	// LoadView is Fresh unless told.
	LoadView LoadView
	// Budget bounds each call; 0 is DefaultBudget. A caller's earlier deadline goes first.
	Budget time.Duration
	// fakeNow gives the time in place of the server's, for tests on servers whose clock cannot be moved.
	fakeNow func() time.Time
}

// Server says where Redis is.
type Server struct {
	// Addresses are host:port, or unix:///path of one socket; one for a single server, any nodes of a Cluster, or the Sentinels.
	Addresses []string
	// Master is the name that the Sentinels know the master by; blank without Sentinel.
	Master string
	// Cluster says that the addresses are a Cluster's.
	Cluster bool
	// User and Password are for AUTH.
	User, Password string
	// SentinelUser and SentinelPassword are for AUTH at the Sentinels, which know nothing of the servers' users.
	SentinelUser, SentinelPassword string
	// Database is the number for SELECT; a Cluster has only 0.
	Database int
	// TLS may be nil.
	TLS *tls.Config
}

// Store implements core.Store. It is safe for concurrent use.
type Store struct {
	conn    *conn
	scripts *scripts
	prefix  []string // the one key of every call
	publish string
	replica string
	clock   core.Clock
	logger  *slog.Logger
	opts    Options
	// table is where accounts have their places.
	table     atomic.Pointer[table]
	reckoning reckoning
	// rebasing is held while the time is learned anew.
	rebasing sync.Mutex
	// steady is since when the store has heard each heartbeat, on this machine's clock; nil when it did not hear the last.
	steady atomic.Pointer[time.Time]

	// registering guards roster and key, and the writing of registered, and is held while accounts are made known.
	registering sync.Mutex
	roster      core.Roster
	registered  atomic.Pointer[string] // by what the last registration is known
	// listed is when the accounts were last made known, longest how long the longest life is that a binding got, in nanoseconds.
	listed  atomic.Pointer[time.Time]
	longest atomic.Int64
	key     []byte // that tokens are signed with

	// reborn holds one token when the server's memory was found to be a new one.
	reborn chan struct{}
	// members are the replicas that the last heartbeat found alive.
	members atomic.Pointer[[]string]

	// listening is closed once signals were subscribed to.
	listening chan struct{}
	// sessions counts the subscriptions.
	sessions atomic.Uint64

	hub    *signal.Hub
	ops    ops
	recent recent
	fates  fates
	lost   lostTakes
	// counted are this replica's waiters.
	counted counted
	// life ends with the store.
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ core.Store = (*Store)(nil)

// New starts a store. It does not wait for the server: calls fail while that cannot be reached.
// Errors: KindInternal for options that cannot be.
func New(opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	scripts, err := newScripts()
	if err != nil {
		return nil, err
	}
	s := &Store{
		conn: newConn(&opts), scripts: scripts, prefix: []string{"usher:{" + opts.Namespace + "}:"}, publish: "PUBLISH",
		replica: drawName(), clock: opts.Clock, logger: opts.Logger, opts: opts, hub: signal.NewHub(), listening: make(chan struct{}),
	}
	if opts.Server.Cluster {
		s.publish = "SPUBLISH"
	}
	s.counted.all = make(map[core.WaiterID]counts)
	s.lost.wake, s.reborn = make(chan struct{}, 1), make(chan struct{}, 1)
	s.ops.kick, s.ops.every = make(chan struct{}, 1), min(opsPatience, opts.Budget/watchMost+1)
	s.table.Store(&table{epoch: noEpoch})
	ctx, stop := context.WithCancel(context.Background())
	s.life, s.stop = ctx, stop
	s.running.Go(func() { s.conn.run(ctx) })
	s.running.Go(func() { s.conn.follow(ctx) })
	s.running.Go(func() { s.onceUp(ctx, s.listen) })
	s.running.Go(func() { s.onceUp(ctx, s.live) })
	s.running.Go(func() { s.takeBackLost(ctx) })
	s.running.Go(func() { s.watch(ctx) })
	return s, nil
}

func (o Options) withDefaults() (Options, error) {
	fault := func(text string) (Options, error) {
		return o, &core.Error{Kind: core.KindInternal, Text: "redisstore: " + text}
	}
	switch {
	case len(o.Server.Addresses) == 0:
		return fault("no address")
	case len(o.Namespace) > 64 || hasBrace(o.Namespace):
		return fault("a namespace is at most 64 bytes without braces")
	case o.MarkTTL < 0 || o.StoreLeaseTTL < 0 || o.Budget < 0:
		return fault("a time is negative")
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MarkTTL == 0 {
		o.MarkTTL = DefaultMarkTTL
	}
	if o.StoreLeaseTTL == 0 {
		o.StoreLeaseTTL = DefaultStoreLeaseTTL
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	return o, nil
}

// onceUp runs what needs a connection, after the first was made.
func (s *Store) onceUp(ctx context.Context, run func(context.Context)) {
	select {
	case <-s.conn.up:
		run(ctx)
	case <-ctx.Done():
	}
}

func hasBrace(s string) bool {
	for i := range len(s) {
		if s[i] == '{' || s[i] == '}' {
			return true
		}
	}
	return false
}

// Close ends the subscriptions and the connections, and waits for what runs. Idempotent.
func (s *Store) Close() error {
	s.stop()
	s.hub.Close()
	s.running.Wait()
	s.conn.close()
	return nil
}
