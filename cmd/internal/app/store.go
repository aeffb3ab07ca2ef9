package app

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/zap"

	"usher.internal/store/memstore"
	"usher.internal/store/outage"
	"usher.internal/store/redisstore"
)

const (
	// reachMost is how long a start waits for Redis before it goes on without.
	reachMost = 2 * time.Second
	// askAgain is the pause between two attempts to reach it.
	askAgain = 200 * time.Millisecond
)

// openStore makes the store that the configuration names. Redis may not answer yet.
func (a *App) openStore(ctx context.Context, logger *slog.Logger) error {
	if len(a.config.Redis.URLs) > 0 {
		return a.openRedis(ctx, logger)
	}
	store, err := memstore.New(memstore.Options{Clock: a.clock, MarkTTL: a.config.Server.MarkTTL})
	if err != nil {
		return err
	}
	a.teardown.push("store", func(context.Context) error { return store.Close() })
	a.store = store
	// Before the scheduler: the key that tokens are signed with may be in the file.
	return a.openState(ctx, store, logger)
}

func (a *App) openRedis(ctx context.Context, logger *slog.Logger) error {
	server, err := redisServer(&a.config.Redis, a.opts.Secrets)
	if err != nil {
		return err
	}
	r := &a.config.Redis
	view := redisstore.Fresh
	if r.LoadView == "cached" {
		view = redisstore.Cached
	}
	primary, err := redisstore.New(redisstore.Options{
		Server: server, Namespace: r.Namespace, Clock: a.clock, Logger: logger,
		MarkTTL: a.config.Server.MarkTTL, StoreLeaseTTL: r.StoreLeaseTTL, Budget: r.Budget, LoadView: view,
	})
	if err != nil {
		return err
	}
	a.reach(ctx, primary)
	store := outage.New(outage.Options{
		Primary: primary, Mode: r.OutageMode(), Clock: a.clock, Logger: logger,
		Settle: r.LocalSettle, Barrier: r.StoreLeaseTTL, MarkTTL: a.config.Server.MarkTTL, Replicas: r.Replicas, Recovered: a.signWith,
	})
	a.teardown.push("store", func(context.Context) error { return store.Close() })
	a.store, a.redis, a.outage = store, primary, store
	a.Go("look at redis", a.lookAtRedis)
	return nil
}

// reach waits a while for Redis: who cannot reach it starts degraded.
func (a *App) reach(ctx context.Context, primary *redisstore.Store) {
	fired, stop := a.clock.After(reachMost)
	defer stop()
	select {
	case <-primary.Reached():
	case <-fired:
	case <-ctx.Done():
	}
}

// signWith has tokens signed with the key that the store was found to have.
func (a *App) signWith(key []byte) {
	if s := a.signs.Load(); s != nil {
		if err := s.UseSecret(key); err != nil {
			a.log.Error("the store's key cannot be used; tokens are signed with the one before it", zap.Error(err))
		}
	}
}

// degraded tells that Redis is out of reach.
func (a *App) degraded() bool { return a.outage != nil && a.outage.Degraded() }

// storeBudget is what a Select may spend on a store that is not in this process; 0 is no bound.
func (a *App) storeBudget() time.Duration {
	if a.redis == nil {
		return 0
	}
	return a.config.Redis.Budget
}

// lookAtRedis warns once of what makes the servers unfit, as soon as they answer.
func (a *App) lookAtRedis(ctx context.Context) {
	for {
		faults, err := a.redis.Faults(ctx)
		if err == nil {
			for _, fault := range faults {
				a.log.Warn("redis is not as usher needs it", zap.String("address", fault.Address), zap.String("fault", fault.Text))
			}
			return
		}
		if !a.pause(ctx, askAgain) {
			return
		}
	}
}

// pause waits; false when ctx ended.
func (a *App) pause(ctx context.Context, d time.Duration) bool {
	fired, stop := a.clock.After(d)
	defer stop()
	select {
	case <-ctx.Done():
		return false
	case <-fired:
		return true
	}
}

// idle tells a drain that no more reports are expected here. What other ushers of a shared store hold is theirs to wait
// for: only what this one looks after ends when it is gone, and only what it was told during an outage is lost with it. Nil is the server's own way, which counts all there is.
func (a *App) idle() func(context.Context) bool {
	if a.redis == nil {
		return nil
	}
	return func(ctx context.Context) bool {
		if a.outage.Owes() {
			return false
		}
		if a.outage.Degraded() {
			return !a.outage.Holds()
		}
		keeps, err := a.redis.Keeps(ctx)
		return err != nil || !keeps
	}
}
