package server

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// pings sends n pings with nothing else on the connection, each after the last one's answer, and says
// how many were answered before the server said goodbye.
func pings(t *testing.T, conn net.Conn, n int) int {
	t.Helper()
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for answered := range n {
		if framer.WritePing(false, [8]byte{byte(answered)}) != nil {
			return answered
		}
		for pong := false; !pong; {
			f, err := framer.ReadFrame()
			if err != nil {
				return answered
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				return answered
			case *http2.PingFrame:
				pong = f.IsAck()
			}
		}
	}
	return n
}

// gRPC's own client does not ping more often than every 10 s; clients in other languages do.
func TestPingsAreTolerated(t *testing.T) {
	if defaultMinPing >= 5*time.Second || defaultMinPing < 3*time.Second {
		t.Errorf("pings are tolerated every %v, want every 5 s with some room", defaultMinPing)
	}
	const n = 20
	for name, row := range map[string]struct {
		least time.Duration
		all   bool
	}{
		"slower than the least interval": {time.Nanosecond, true},
		"faster":                         {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}, MinPingInterval: row.least})
			conn, err := e.listener.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if got := pings(t, conn, n); (got == n) != row.all {
				t.Errorf("%d of %d pings were answered", got, n)
			}
		})
	}
}
