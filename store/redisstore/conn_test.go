package redisstore

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
)

// silent accepts connections until the test's end, and says nothing on them.
func silent(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestConnectionsEndWithTheStore: who closes it does not wait for a server that does not answer.
func TestConnectionsEndWithTheStore(t *testing.T) {
	address := silent(t).Addr().String()
	life, end := context.WithCancel(t.Context())
	defer end()
	doors := newDoors(slog.New(slog.DiscardHandler), &Server{})
	conn, err := doors.connect(life, t.Context(), "tcp", address, &net.Dialer{}, nil)
	must(t, err)
	end()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that is waited on: %v", err)
	}
	if _, err := doors.connect(life, t.Context(), "tcp", address, &net.Dialer{}, nil); err == nil {
		t.Error("a store that is closed made a connection")
	}
}
