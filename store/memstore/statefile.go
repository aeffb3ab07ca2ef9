package memstore

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"usher.internal/core"
)

// DefaultStateEvery is the pause between two looks whether something is to be written.
const DefaultStateEvery = time.Second

// Companion has a section of its own in the file.
type Companion interface {
	// ExportState gives the section. It does not block, and is safe for concurrent use.
	ExportState() []byte
	// StateChanges counts what it would tell otherwise. It does not block, and is safe for concurrent use.
	StateChanges() uint64
}

// StateFileOptions are what a state file is opened with.
type StateFileOptions struct {
	Path  string
	Store *Store
	// Clock is core.SystemClock when nil.
	Clock core.Clock
	// Logger may be nil.
	Logger *slog.Logger
	// Every is the pause between looks; 0 is DefaultStateEvery.
	Every time.Duration
	// Check refuses a section that its owner could not read; may be nil.
	Check func(section []byte) error
}

// StateFile keeps a store's state in a file. One process at a time may have it.
type StateFile struct {
	opts    StateFileOptions
	section []byte
	buffer  []byte
	// written is the sum of changes that the file has; valid while kept.
	written uint64
	kept    bool

	stop  context.CancelFunc
	ended chan struct{}
	once  sync.Once
	// last is the error of the last write; read once ended is closed.
	last error
}

// OpenStateFile lets a store that nobody has used yet take up what the file holds, if there is one. A file that cannot
// be trusted is set aside under another name, and the store stays empty. It fails only when it could neither
// read the file nor set it aside: then nothing may be written over it.
func OpenStateFile(opts StateFileOptions) (*StateFile, error) {
	if opts.Clock == nil {
		opts.Clock = core.SystemClock{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Every <= 0 {
		opts.Every = DefaultStateEvery
	}
	f := &StateFile{opts: opts}
	data, err := os.ReadFile(opts.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		opts.Logger.Info("there is no state file yet", "path", opts.Path)
		return f, nil
	case err != nil:
		return nil, err
	}
	f.section, err = opts.Store.Import(data, opts.Check)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
		if err := f.setAside(err); err != nil {
			return nil, err
		}
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	opts.Logger.Info("took up the state file", "path", opts.Path, "bytes", len(data))
	return f, nil
}

// Section is the companion's section as it was read; nil when there is none.
func (f *StateFile) Section() []byte { return f.section }

// setAside renames the file to a name that nothing has.
func (f *StateFile) setAside(why error) error {
	at := f.opts.Clock.Now().UTC().Format("20060102T150405Z")
	aside := f.opts.Path + ".damaged-" + at
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = f.opts.Path + ".damaged-" + at + "-" + strconv.Itoa(n)
	}
	if err := os.Rename(f.opts.Path, aside); err != nil {
		return errors.Join(why, err)
	}
	f.opts.Logger.Error("the state file cannot be trusted: it was set aside, and nothing of it counts", "path", f.opts.Path, "aside", aside, "error", why)
	return nil
}

// Start begins to write, until Stop. It is called once.
func (f *StateFile) Start(companion Companion) {
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.ended = stop, make(chan struct{})
	go func() {
		defer close(f.ended)
		f.run(ctx, companion)
	}()
}

// Stop writes a last time what has changed, and waits for it until ctx ends. Idempotent. It gives the error of the last write.
func (f *StateFile) Stop(ctx context.Context) error {
	if f.stop == nil {
		return nil
	}
	f.once.Do(f.stop)
	select {
	case <-f.ended:
		return f.last
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes what has changed, at every look and at the end.
func (f *StateFile) run(ctx context.Context, companion Companion) {
	for {
		fired, stop := f.opts.Clock.After(f.opts.Every)
		select {
		case <-ctx.Done():
			stop()
			f.look(companion)
			return
		case <-fired:
		}
		f.look(companion)
	}
}

// look writes if something has changed, with one line in the log when that begins to fail and one when it works again.
func (f *StateFile) look(companion Companion) {
	// Counted before it is exported: what changes in between is written next time.
	changes := f.opts.Store.Changes() + companion.StateChanges()
	if f.kept && changes == f.written {
		return
	}
	failed := f.last != nil
	f.buffer = f.opts.Store.Export(f.buffer[:0], companion.ExportState())
	if f.last = replaceFile(f.opts.Path, f.buffer); f.last == nil {
		f.written, f.kept = changes, true
	}
	switch {
	case f.last != nil && !failed:
		f.opts.Logger.Error("the state file cannot be written; it is tried again", "path", f.opts.Path, "error", f.last)
	case f.last == nil && failed:
		f.opts.Logger.Info("the state file is written again", "path", f.opts.Path)
	}
}

// replaceFile writes a file beside and puts it in the place of the old one, so that at any time
// there is either the old one whole or the new one whole.
func replaceFile(path string, data []byte) error {
	beside := path + ".tmp"
	// One that a killed process left behind may have another mode.
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the new name last. Windows cannot, and does not need to.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
