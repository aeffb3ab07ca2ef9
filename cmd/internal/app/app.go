// Package app puts an usher together, and starts, reloads and stops it. It is
// all of usher but its command line, so that a test can run one in its own process.
package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"usher.internal/cmd/internal/config"
	"usher.internal/core"
	"usher.internal/server"
	"usher.internal/server/telemetry"
	"usher.internal/store/memstore"
	"usher.internal/store/outage"
	"usher.internal/store/redisstore"
)

// cutoff is what a stop may take after the drain is over, for what does not end when it is told to.
const cutoff = 3 * time.Second

// Options are what an usher is built from.
type Options struct {
	// File is the configuration; it is watched and read again. Blank is Config, for good.
	File   string
	Config *config.Config
	// Override changes what was read, at the start and at each reload; nil changes nothing.
	Override func(*config.Config)
	// Log takes log lines; nil is nowhere. Terminal says that a person reads it.
	Log      io.Writer
	Terminal bool
	// Version is logged.
	Version string
	// Clock is core.SystemClock when nil.
	Clock core.Clock
	// Secrets are what no file of the configuration has in it.
	Secrets Secrets
}

// App is one usher. All methods are safe for concurrent use.
type App struct {
	opts      Options
	config    *config.Config // as it was at the start
	log       *zap.Logger
	level     zap.AtomicLevel
	clock     core.Clock
	scheduler *core.Scheduler
	server    *server.Server
	state     *memstore.StateFile // nil without memory.state_file
	store     core.Store
	redis     *redisstore.Store // nil when store is in memory
	outage    *outage.Store     // which then is in front of it
	// signs is the scheduler whose tokens the store's key signs.
	signs    atomic.Pointer[core.Scheduler]
	teardown teardown

	// served is closed when no listener is served any more; serveErr is set before.
	served   chan struct{}
	serveErr error

	stopping sync.Once
	stopped  chan struct{}
	stopErr  error // set before stopped is closed

	// mu guards what follows.
	mu        sync.Mutex
	started   bool
	startErr  error
	ending    bool
	addresses []string

	// reload is held during a reload and guards what follows.
	reload sync.Mutex
	digest [sha256.Size]byte // of the file as it was read last
}

// New reads the configuration and builds an usher that does not listen yet. Stop must be called, also without Start.
// When ctx ends before that is done, the error is ctx's own.
func New(ctx context.Context, opts Options) (*App, error) {
	a := &App{opts: opts, clock: opts.Clock, served: make(chan struct{}), stopped: make(chan struct{})}
	if a.clock == nil {
		a.clock = core.SystemClock{}
	}
	if a.opts.Version == "" {
		a.opts.Version = "unknown"
	}
	if a.opts.Log == nil {
		a.opts.Log = io.Discard
	}
	if err := a.read(); err != nil {
		return nil, err
	}
	a.log, a.level = newLogger(a.opts.Log, opts.Terminal, a.config.Server.Log)
	if err := a.build(ctx); err != nil {
		return nil, a.unbuild(ctx, err)
	}
	return a, nil
}

// unbuild ends what was begun, and gives why there is no usher.
func (a *App) unbuild(ctx context.Context, why error) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutoff)
	defer cancel()
	fault := a.teardown.run(bounded)
	own := ctx.Err()
	if own == nil || !errors.Is(why, own) {
		return errors.Join(why, fault)
	}
	if fault != nil {
		return fault
	}
	a.log.Info("stopped before it served")
	return own
}

// read loads the configuration of the start.
func (a *App) read() error {
	switch {
	case a.opts.File != "":
		data, err := config.Read(a.opts.File)
		if err != nil {
			return err
		}
		if a.config, err = config.Parse(a.opts.File, data); err != nil {
			return err
		}
		a.digest = sha256.Sum256(data)
	case a.opts.Config != nil:
		c := *a.opts.Config
		a.config = &c
	default:
		return errors.New("app: neither a file nor a configuration")
	}
	return a.complete(a.config)
}

// complete adds what the command line says.
func (a *App) complete(c *config.Config) error {
	if a.opts.Override != nil {
		a.opts.Override(c)
	}
	return c.StoreError()
}

func (a *App) build(ctx context.Context) error {
	s := &a.config.Server
	logger := slog.New(slogHandler{core: a.log.Core()})
	if err := a.openStore(ctx, logger); err != nil {
		return err
	}
	observer, err := telemetry.New()
	if err != nil {
		return err
	}
	outcomes, err := a.config.OutcomeTable()
	if err != nil {
		return err
	}
	a.scheduler, err = core.New(ctx, core.Options{
		Store: a.store, Clock: a.clock, Observer: observer,
		Logger:   logger,
		LeaseTTL: s.LeaseTTL, MaxLeaseAge: s.MaxLeaseAge, Owners: s.OwnerTerms(), HistoryBytes: s.CoreHistoryBytes(),
		Outcomes: outcomes, Shared: a.redis != nil, StoreBudget: a.storeBudget(), Degraded: a.degraded,
		ShareStatsEvery: a.config.Redis.ShareStatsEvery(),
		Entropy:         rand.Uint64, // safe for concurrent use, and seeded by the system at each start
	})
	if err != nil {
		return err
	}
	a.signs.Store(a.scheduler)
	if key, err := a.store.Secret(ctx); err == nil {
		a.signWith(key) // it may have become known since
	}
	a.teardown.push("scheduler", a.scheduler.Close)
	if a.state != nil {
		if err := a.scheduler.ImportState(ctx, a.state.Section()); err != nil {
			return err
		}
	}
	if err := a.scheduler.Apply(ctx, a.config.Pool(), a.config.Policy.Decide()); err != nil {
		return err
	}
	a.server, err = server.New(server.Options{
		Scheduler: a.scheduler, Metrics: a.scheduler, Owners: a.scheduler, Telemetry: observer, Logger: a.log,
		MarkTTL: s.MarkTTL, MaxSubscribers: s.Limits.MetricsStreams,
		RetryAfter: s.RetryAfter, MinPingInterval: s.Keepalive.MinPingInterval, Idle: a.idle(), Degraded: a.degraded,
	})
	if err != nil {
		return err
	}
	a.teardown.push("server", a.drain)
	return nil
}

// Start listens and serves. A second call gives the first one's result.
func (a *App) Start(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.started:
		return a.startErr
	case a.ending:
		return errors.New("app: it has been stopped")
	}
	a.started = true
	a.startErr = a.startLocked(ctx)
	return a.startErr
}

func (a *App) startLocked(ctx context.Context) error {
	listeners, err := listen(ctx, a.config.Server.Listen, a.config.Server.Insecure)
	if err != nil {
		close(a.served)
		return err
	}
	for _, l := range listeners {
		a.addresses = append(a.addresses, addressOf(l))
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			a.log.Warn("other machines reach this address, and there is no TLS", zap.Stringer("address", tcp))
		}
	}
	if a.state != nil {
		// Not before it listens: an usher that cannot serve changes no file.
		a.state.Start(a.scheduler)
	}
	go func() {
		defer close(a.served)
		a.serveErr = a.server.Serve(listeners...)
	}()
	if a.opts.File != "" {
		if err := a.watch(); err != nil {
			return fmt.Errorf("watch %s: %w", a.opts.File, err)
		}
	}
	namespace := zap.Skip()
	if a.redis != nil {
		namespace = zap.String("namespace", a.config.Redis.Namespace)
	}
	a.log.Info("serving", zap.String("store", a.config.StoreName()), namespace, zap.Strings("addresses", a.addresses),
		zap.Int("accounts", len(a.config.Accounts)), zap.String("profile", a.config.Policy.Profile), zap.String("version", a.opts.Version))
	if len(a.config.Accounts) == 0 {
		a.log.Warn("there are no accounts: every Select will be refused")
	}
	return nil
}

func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix://" + l.Addr().String()
	}
	return l.Addr().String()
}

// Addresses are where it listens, as a client dials them, in the order of server.listen; nil before Start.
func (a *App) Addresses() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.addresses)
}

// Log writes into the usher's log.
func (a *App) Log() *zap.Logger { return a.log }

// Go runs fn beside a started usher until Stop, which ends its ctx first of all and waits for it.
func (a *App) Go(name string, fn func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fn(ctx)
	}()
	a.teardown.push(name, func(bound context.Context) error {
		cancel()
		select {
		case <-ended:
			return nil
		case <-bound.Done():
			return bound.Err()
		}
	})
}

// Done is closed when it serves no more: after Stop, or because a listener failed, which Stop then tells.
func (a *App) Done() <-chan struct{} { return a.served }

// Stop ends it in order: what is in flight gets server.drain_timeout, or ctx if that is shorter. A second call waits for the first.
// That calls had to be cut off is logged and is no error.
func (a *App) Stop(ctx context.Context) error {
	a.stopping.Do(func() {
		go func() {
			defer close(a.stopped)
			a.stopErr = a.stop(ctx)
		}()
	})
	<-a.stopped
	return a.stopErr
}

func (a *App) stop(ctx context.Context) error {
	a.mu.Lock()
	a.ending = true
	serving := a.started && a.startErr == nil
	if !a.started {
		close(a.served)
	}
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, a.config.Server.DrainTimeout+cutoff)
	defer cancel()
	if serving {
		a.log.Info("stopping", zap.Duration("drain_timeout", a.config.Server.DrainTimeout))
	}
	err := a.teardown.run(ctx)
	if serving {
		a.log.Info("stopped")
	}
	_ = a.log.Sync() // a terminal cannot be synced
	return err
}

// drain ends the server. What lies beyond its time is cut off.
func (a *App) drain(ctx context.Context) error {
	total := a.config.Server.DrainTimeout
	// Closing what is left takes time too.
	bounded, cancel := context.WithTimeout(ctx, total-min(total/10, time.Second))
	defer cancel()
	err := a.server.Drain(bounded)
	<-a.served
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("not all in flight ended within drain_timeout; the rest was cut off")
		err = nil
	}
	return errors.Join(err, a.serveErr)
}
