package memstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

// companion has a section that the test sets.
type companion struct {
	text    atomic.Pointer[string]
	changes atomic.Uint64
}

func (c *companion) set(text string) {
	c.text.Store(&text)
	c.changes.Add(1)
}

func (c *companion) ExportState() []byte {
	if text := c.text.Load(); text != nil {
		return []byte(*text)
	}
	return nil
}

func (c *companion) StateChanges() uint64 { return c.changes.Load() }

// kept is a store with its file.
type kept struct {
	*memstore.StateFile
	store *memstore.Store
	log   *bytes.Buffer
}

func keep(t *testing.T, path string, options ...func(*memstore.StateFileOptions)) *kept {
	t.Helper()
	k, err := tryKeep(t, path, options...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func tryKeep(t *testing.T, path string, options ...func(*memstore.StateFileOptions)) (*kept, error) {
	t.Helper()
	k := &kept{store: open(t, memstore.Options{}), log: &bytes.Buffer{}}
	opts := memstore.StateFileOptions{Path: path, Store: k.store, Logger: slog.New(slog.NewTextHandler(k.log, nil))}
	for _, option := range options {
		option(&opts)
	}
	var err error
	k.StateFile, err = memstore.OpenStateFile(opts)
	return k, err
}

func (k *kept) change(t *testing.T, n byte) {
	t.Helper()
	events := []core.Settlement{{Kind: core.SettleUnused, Request: core.RequestKey{n}}}
	if err := k.store.Settle(context.Background(), events, make([]core.Settled, 1)); err != nil {
		t.Fatal(err)
	}
}

// knows tells whether a request id was released before.
func (k *kept) knows(t *testing.T, n byte) bool {
	t.Helper()
	results := make([]core.Settled, 1)
	events := []core.Settlement{{Kind: core.SettleUnused, Request: core.RequestKey{n}}}
	if err := k.store.Settle(context.Background(), events, results); err != nil {
		t.Fatal(err)
	}
	return results[0].Status == core.EventAlreadyReleased
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestStateFile writes what changed, when it changed and at the end, and a later store takes it up.
func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		k, c := keep(t, path), &companion{}
		k.change(t, 1)
		k.Start(c)
		stamp := func() time.Time {
			synctest.Wait()
			info, err := os.Stat(path)
			if errors.Is(err, os.ErrNotExist) {
				return time.Time{}
			}
			if err != nil || info.Mode() != 0o600 {
				t.Fatal(info.Mode(), err)
			}
			// Whoever looks at the file again sees whether it was written meanwhile.
			if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			return info.ModTime()
		}
		second := func() bool { // whether the second that passes writes
			<-time.After(time.Second)
			return !stamp().Equal(time.Unix(1, 0))
		}
		<-time.After(time.Second - 1)
		if !stamp().IsZero() {
			t.Error("written before the first second")
		}
		if !second() {
			t.Error("not written")
		}
		if second() {
			t.Error("written without a change")
		}
		c.set("learned")
		if !second() {
			t.Error("not written for the companion")
		}
		k.change(t, 2)
		c.set("learned more")
		for range 2 {
			if err := k.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		k = keep(t, path)
		if string(k.Section()) != "learned more" || !k.knows(t, 1) || !k.knows(t, 2) || k.knows(t, 3) {
			t.Errorf("section %q", k.Section())
		}
		if names := files(t, filepath.Dir(path)); len(names) != 1 {
			t.Errorf("files %q", names)
		}
		if err := k.Stop(context.Background()); err != nil { // never started
			t.Error(err)
		}
	})
}

// TestDamagedFile: it is set aside whole, under a name of its own, and what comes after starts anew.
func TestDamagedFile(t *testing.T) {
	clock := storetest.NewClock()
	old, _ := filled(t, clock)
	state := old.Export(nil, []byte("section"))
	newer := append([]byte(nil), state...)
	newer[len("usher state\n")+1]++
	cases := map[string][]byte{
		"empty": {}, "cut": state[:len(state)/2], "changed": append(append([]byte(nil), state[:100]...), make([]byte, len(state)-100)...),
		"newer": newer, "refused": state,
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			withClock := func(o *memstore.StateFileOptions) { o.Clock = clock }
			refusing := func(o *memstore.StateFileOptions) {
				if name == "refused" {
					o.Check = func([]byte) error { return errors.New("another section") }
				}
			}
			for n := range 3 {
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				k := keep(t, path, withClock, refusing)
				if k.Section() != nil || k.store.Changes() != 0 {
					t.Error("something of it counts")
				}
				if got := strings.Count(k.log.String(), "level=ERROR"); got != 1 || !strings.Contains(k.log.String(), ".damaged-20231114T221320Z") {
					t.Errorf("logged %s", k.log)
				}
				names := files(t, filepath.Dir(path))
				if len(names) != n+1 {
					t.Fatalf("files %q", names)
				}
				for _, aside := range names {
					if got, err := os.ReadFile(filepath.Join(filepath.Dir(path), aside)); err != nil || !bytes.Equal(got, data) {
						t.Errorf("%s is not what was there: %v", aside, err)
					}
				}
			}
		})
	}
}

// TestUnreadableFile: what can neither be read nor set aside is not written over.
func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := tryKeep(t, path); err == nil {
		t.Error("opened a directory")
	}
	if _, err := tryKeep(t, filepath.Join(dir, "none", "state")); err != nil {
		t.Error("a file that is not there yet:", err)
	}
}

// TestUnwritableFile: the old file stays as it is, the log has one line for each turn, and nothing is left behind.
func TestUnwritableFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "late")
	path := filepath.Join(dir, "state")
	synctest.Test(t, func(t *testing.T) {
		k, c := keep(t, path), &companion{}
		k.change(t, 1)
		k.Start(c)
		<-time.After(5*time.Second + 1)
		synctest.Wait()
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		// One that a killed process left, readable to all.
		if err := os.WriteFile(path+".tmp", []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if err := os.Rename(dir, dir+"2"); err != nil {
			t.Fatal(err)
		}
		k.change(t, 2)
		if err := k.Stop(context.Background()); err == nil {
			t.Error("stopped, and the last write went nowhere")
		}
		text := k.log.String()
		if strings.Count(text, "cannot be written") != 2 || strings.Count(text, "written again") != 1 {
			t.Errorf("logged %s", text)
		}
		if names := files(t, dir+"2"); len(names) != 1 || names[0] != "state" {
			t.Errorf("files %q", names)
		}
		if k := keep(t, filepath.Join(dir+"2", "state")); !k.knows(t, 1) || k.knows(t, 2) {
			t.Error("the old file is not as it was")
		}
	})
}

// TestStopIsBounded: it waits no longer than it may.
func TestStopIsBounded(t *testing.T) {
	k, c := keep(t, filepath.Join(t.TempDir(), "state")), &slow{begun: make(chan struct{}), release: make(chan struct{})}
	k.change(t, 1)
	k.Start(c)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-c.begun
		cancel()
	}()
	if err := k.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(c.release)
	if err := k.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// slow is a companion that takes its time.
type slow struct {
	begun, release chan struct{}
}

func (h *slow) ExportState() []byte {
	close(h.begun)
	<-h.release
	return nil
}

func (*slow) StateChanges() uint64 { return 1 }
