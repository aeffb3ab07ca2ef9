package main

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// cutter passes connections on to an usher and cuts them: each after a number of bytes, or all when it is told to.
type cutter struct {
	listener net.Listener
	network  string
	target   string
	bytes    func() int64
	cuts     atomic.Int64
	all      sync.WaitGroup

	// mu guards open.
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// newCutter cuts each connection after a random number of bytes.
func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	return newCutterAfter(t, target, func() int64 { return 1_000 + rand.Int64N(40_000) })
}

// newPatientCutter cuts when it is told to.
func newPatientCutter(t *testing.T, target string) *cutter {
	t.Helper()
	return newCutterAfter(t, target, func() int64 { return math.MaxInt64 })
}

func newCutterAfter(t *testing.T, target string, bytes func() int64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, network: "tcp", target: target, bytes: bytes, open: make(map[net.Conn]struct{})}
	if path, ok := strings.CutPrefix(target, "unix://"); ok {
		c.network, c.target = "unix", path
	}
	c.all.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *cutter) address() string { return c.listener.Addr().String() }

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.all.Go(func() { c.pass(client) })
	}
}

func (c *cutter) pass(client net.Conn) {
	defer c.forget(client)
	upstream, err := net.Dial(c.network, c.target)
	if err != nil {
		return
	}
	defer c.forget(upstream)
	if !c.remember(client) || !c.remember(upstream) {
		return
	}
	var both sync.WaitGroup
	// Either direction may end first, in the middle of a frame; then both do.
	for _, way := range []struct{ to, from net.Conn }{{upstream, client}, {client, upstream}} {
		both.Go(func() {
			if _, err := io.CopyN(way.to, way.from, c.bytes()); err == nil {
				c.cuts.Add(1)
			}
			_ = client.Close()
			_ = upstream.Close()
		})
	}
	both.Wait()
}

func (c *cutter) remember(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		return false
	}
	c.open[conn] = struct{}{}
	return true
}

func (c *cutter) forget(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// cut ends every connection that is open now.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) > 0 {
		c.cuts.Add(1)
	}
	for conn := range c.open {
		_ = conn.Close()
	}
}

func (c *cutter) close() {
	_ = c.listener.Close()
	c.mu.Lock()
	for conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
	c.mu.Unlock()
	c.all.Wait()
}
