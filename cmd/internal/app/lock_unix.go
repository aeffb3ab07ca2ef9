//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockPatience = 2 * time.Second
	lockPoll     = 20 * time.Millisecond
)

// lockDir keeps other ushers out of a directory until unlock. It leaves no file behind.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	unlock, held, err := lock(ctx, f)
	if held {
		err = fmt.Errorf("another process holds a lock on %s", dir)
	}
	return unlock, err
}

// lockFile keeps other ushers from what a file stands for until unlock, or until this process ends. The file is
// made when it is not there, and stays: one that is removed could be locked twice.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	unlock, held, err := lock(ctx, f)
	if held {
		err = errors.New("another usher runs on it: stop that one, or give this one another file (the demo: another --listen)")
	}
	return unlock, err
}

// lock takes the lock on f, which unlock closes; held tells that another process has it. On an error f is closed.
func lock(ctx context.Context, f *os.File) (unlock func(), held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, false, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, true, ctx.Err()
		}
	}
}
