package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"usher.internal/cmd/internal/config"
)

const (
	// socketMode lets the owner's group call.
	socketMode = 0o660
	// socketProbe bounds the question whether a process lives behind a socket file.
	socketProbe = time.Second
)

// listen opens all addresses or none.
func listen(ctx context.Context, addresses []string, insecure bool) ([]net.Listener, error) {
	var open []net.Listener
	for _, address := range addresses {
		l, err := listenOne(ctx, address, insecure)
		if err != nil {
			for _, o := range open {
				_ = o.Close()
			}
			return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		open = append(open, l)
	}
	return open, nil
}

func listenOne(ctx context.Context, address string, insecure bool) (net.Listener, error) {
	if err := config.CheckAddress(address); err != nil {
		return nil, err
	}
	if path, ok := config.SocketPath(address); ok {
		return listenSocket(ctx, path)
	}
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	if !tcp.IP.IsLoopback() && !insecure {
		return nil, errors.New("other machines reach this address, and there is no TLS: " +
			"use a loopback address or a Unix socket, or say --insecure (server.insecure: true)")
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", tcp.String())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another process has this port; stop it, or choose another with --listen: %w", err)
	}
	return l, err
}

// listenSocket replaces the socket file of a process that is dead and leaves that of a living one alone.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	// Two ushers that start at once must not both find the old file dead.
	unlock, err := lockDir(ctx, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := clearSocket(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file that is not a socket; it is left alone")
	}
	ctx, cancel := context.WithTimeout(ctx, socketProbe)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return errors.New("a living process listens there, perhaps another usher; it is left alone: stop it, or choose another path")
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	default:
		return fmt.Errorf("there is a socket, and whether a process lives behind it cannot be told; it is left alone: %w", err)
	}
}
