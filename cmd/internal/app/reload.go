package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"usher.internal/cmd/internal/config"
)

// settle is how long the file may change on after its first change before it is read.
const settle = 200 * time.Millisecond

// reloadTimeout bounds the store's part in a reload.
const reloadTimeout = 10 * time.Second

// Reload reads the file again and puts accounts, policy and outcomes into force, all or nothing.
// Whatever happens is logged; the error is for callers that want to know.
func (a *App) Reload(ctx context.Context) error { return a.reloadIf(ctx, true) }

// reloadIf does nothing when the file is as it was read last, unless it is forced.
func (a *App) reloadIf(ctx context.Context, forced bool) error {
	if a.opts.File == "" {
		a.log.Info("there is no configuration file to reload")
		return nil
	}
	a.reload.Lock()
	defer a.reload.Unlock()
	data, err := config.Read(a.opts.File)
	sum := sha256.Sum256(data) // of nothing, when it cannot be read
	if sum == a.digest && !forced {
		return nil
	}
	a.digest = sum
	var c *config.Config
	if err == nil {
		c, err = config.Parse(a.opts.File, data)
	}
	if err == nil {
		err = a.complete(c)
	}
	if err == nil {
		err = a.apply(ctx, c)
	}
	if err != nil {
		a.log.Error("reload failed; what was in force stays in force", zap.Error(err))
		return err
	}
	a.level.SetLevel(zapLevel(c.Server.Log.Severity()))
	a.log.Info("reloaded", zap.Int("accounts", len(c.Accounts)), zap.String("profile", c.Policy.Profile))
	if changed := restartChanges(a.config, c); len(changed) > 0 {
		a.log.Warn("these changes take effect at a restart", zap.Strings("fields", changed))
	}
	return nil
}

func (a *App) apply(ctx context.Context, c *config.Config) error {
	outcomes, err := c.OutcomeTable()
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	if err := a.scheduler.Apply(bounded, c.Pool(), c.Policy.Decide()); err != nil {
		return err
	}
	a.scheduler.UseOutcomes(outcomes)
	return nil
}

// restartChanges names the settings that differ and that a running usher keeps.
func restartChanges(inForce, read *config.Config) []string {
	server := inForce.Server
	server.Log.Level = read.Server.Log.Level
	return slices.Concat(changes("server", reflect.ValueOf(server), reflect.ValueOf(read.Server)),
		changes("memory", reflect.ValueOf(inForce.Memory), reflect.ValueOf(read.Memory)),
		changes("redis", reflect.ValueOf(inForce.Redis), reflect.ValueOf(read.Redis)))
}

func changes(path string, x, y reflect.Value) []string {
	var out []string
	for i := range x.NumField() {
		name := path + "." + x.Type().Field(i).Tag.Get("yaml")
		switch {
		case x.Field(i).Kind() == reflect.Struct:
			out = append(out, changes(name, x.Field(i), y.Field(i))...)
		case !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()):
			out = append(out, name)
		}
	}
	return out
}

// watch reloads on changes of the file. It watches folders, since a file that is replaced takes its watch with it.
func (a *App) watch() error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	if err := w.Add(filepath.Dir(a.opts.File)); err != nil {
		return errors.Join(err, w.Close())
	}
	a.Go("watcher", func(ctx context.Context) {
		defer func() { _ = w.Close() }()
		a.follow(ctx, w)
	})
	return nil
}

// follow looks at the file once what happens to it has settled; also at first, for what changed before the watch stood.
func (a *App) follow(ctx context.Context, w *fsnotify.Watcher) {
	for {
		fired, stop := a.clock.After(settle)
		select {
		case <-fired:
		case <-ctx.Done():
			stop()
			return
		}
		// Links may lead elsewhere than last time.
		a.watchTarget(w)
		_ = a.reloadIf(ctx, false)
		if !a.awaitChange(ctx, w) {
			return
		}
	}
}

// awaitChange waits for any change in the folders; false when ctx ended. Whether it concerned the file, its content tells.
func (a *App) awaitChange(ctx context.Context, w *fsnotify.Watcher) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.Events:
		return true
	case err := <-w.Errors:
		// Events may have been lost.
		a.log.Warn("watching the configuration file", zap.Error(err))
		return true
	}
}

// watchTarget follows a link: its target may be written in place.
func (a *App) watchTarget(w *fsnotify.Watcher) {
	home := filepath.Dir(a.opts.File)
	watched := map[string]bool{home: true}
	if target, err := filepath.EvalSymlinks(a.opts.File); err == nil {
		watched[filepath.Dir(target)] = true
	}
	for _, dir := range w.WatchList() {
		if !watched[dir] {
			_ = w.Remove(dir) // it may be gone already
		}
		delete(watched, dir)
	}
	for dir := range watched {
		if err := w.Add(dir); err != nil {
			a.log.Warn("cannot watch the folder of the configuration file", zap.String("folder", dir), zap.Error(err))
		}
	}
}
