package app

import (
	"context"
	"fmt"
	"log/slog"

	"usher.internal/core"
	"usher.internal/store/memstore"
)

// openState lets the store take up the state file, if there is to be one, and keeps other ushers from it until the
// teardown, which writes it a last time.
func (a *App) openState(ctx context.Context, store *memstore.Store, logger *slog.Logger) error {
	path := a.config.Memory.StateFile
	if path == "" {
		return nil
	}
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return fmt.Errorf("memory.state_file %s: %w", path, err)
	}
	a.teardown.push("lock of the state file", func(context.Context) error {
		unlock()
		return nil
	})
	state, err := memstore.OpenStateFile(memstore.StateFileOptions{
		Path: path, Store: store, Clock: a.clock, Logger: logger, Check: core.CheckState,
	})
	if err != nil {
		return fmt.Errorf("memory.state_file %s: %w", path, err)
	}
	a.state = state
	a.teardown.push("state file", state.Stop)
	return nil
}
