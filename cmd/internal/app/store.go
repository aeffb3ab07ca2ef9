package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.uber.org/zap"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/redisstore"
)

const (
	// startPatience is how long a start waits for a store that does not answer.
	startPatience = 10 * time.Second
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
	store, err := redisstore.New(redisstore.Options{
		Server: server, Namespace: r.Namespace, Clock: a.clock, Logger: logger,
		MarkTTL: a.config.Server.MarkTTL, StoreLeaseTTL: r.StoreLeaseTTL, Budget: r.Budget,
	})
	if err != nil {
		return err
	}
	a.teardown.push("store", func(context.Context) error { return store.Close() })
	a.store, a.redis = store, store
	a.Go("look at redis", a.lookAtRedis)
	return nil
}

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

// patiently asks the store again while it cannot be reached, for so long at most.
func (a *App) patiently(ctx context.Context, most time.Duration, ask func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var last error
	for {
		err := ask(bounded)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case bounded.Err() == nil && core.KindOf(err) != core.KindStoreUnavailable:
			return err
		case bounded.Err() != nil:
			// Why it does not answer says more than that the time is over.
			return fmt.Errorf("%s did not answer as a store within %v: %w", a.config.StoreName(), most, cmp.Or(last, err))
		case last == nil:
			a.log.Warn("the store does not answer; it is asked again", zap.Duration("for", most), zap.Error(err))
		}
		last = err
		_ = a.pause(bounded, askAgain)
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
// for: only what this one looks after ends when it is gone. Nil is the server's own way, which counts all there is.
func (a *App) idle() func(context.Context) bool {
	if a.redis == nil {
		return nil
	}
	return func(ctx context.Context) bool {
		keeps, err := a.redis.Keeps(ctx)
		return err != nil || !keeps
	}
}
