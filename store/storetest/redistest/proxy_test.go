package redistest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"usher.internal/store/storetest/redistest"
)

// TestProxy runs over a fake server, and over a real one where there is one.
func TestProxy(t *testing.T) {
	targets := map[string]func(t *testing.T) string{
		"miniredis": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
	}
	if redistest.Available() {
		targets["port"] = func(t *testing.T) string { return redistest.Single(t).Addr() }
		targets["socket"] = func(t *testing.T) string { return redistest.Single(t).Socket() }
	}
	for on, target := range targets {
		for _, c := range []struct {
			name string
			run  func(t *testing.T, p *redistest.Proxy, direct string)
		}{
			{"counts", countsTest},
			{"subscriptions, old protocol", func(t *testing.T, p *redistest.Proxy, _ string) { subscriptionTest(t, p, "2", "*") }},
			{"subscriptions, new protocol", func(t *testing.T, p *redistest.Proxy, _ string) { subscriptionTest(t, p, "3", ">") }},
			{"lost replies", lostTest},
			{"late requests", lateRequestsTest},
			{"late replies", lateRepliesTest},
			{"delay", delayTest},
			{"black hole", blackHoleTest},
			{"cut", cutTest},
		} {
			t.Run(on+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				direct := target(t)
				c.run(t, redistest.NewProxy(t, direct), direct)
			})
		}
	}
}

// wire is a client that sees each byte.
type wire struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func connect(t *testing.T, addr string) *wire {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, conn)
}

func wrap(t *testing.T, conn net.Conn) *wire {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, Conn: conn, in: bufio.NewReader(conn)}
}

func encode(command string) string {
	words := strings.Fields(command)
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return text
}

// send writes commands at once.
func (w *wire) send(commands ...string) {
	w.t.Helper()
	text := ""
	for _, c := range commands {
		text += encode(c)
	}
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatal(err)
	}
}

// want reads lines.
func (w *wire) want(lines ...string) {
	w.t.Helper()
	for _, want := range lines {
		if got, err := w.in.ReadString('\n'); got != want+"\r\n" {
			w.t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

// wantEnd reads until the connection is over, and finds nothing.
func (w *wire) wantEnd() {
	w.t.Helper()
	if got, err := w.in.ReadString('\n'); got != "" || err == nil || isTimeout(err) {
		w.t.Fatalf("got %q, %v, want the end", got, err)
	}
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.As(err, &timed) && timed.Timeout()
}

func countsTest(t *testing.T, p *redistest.Proxy, _ string) {
	w := connect(t, p.Addr())
	for range 3 {
		w.send("SET k v")
		w.want("+OK")
	}
	before := p.Counts()
	w.send("get k", "GET none", "PING")
	w.want("$1", "v", "$-1", "+PONG")
	long := strings.Repeat("x", 100_000)
	other := connect(t, p.Addr())
	other.send("ECHO " + long)
	other.want("$100000", long)
	all := redistest.Counts{
		Connections: 2, Commands: 7, RoundTrips: 5, Names: map[string]int{"SET": 3, "GET": 2, "PING": 1, "ECHO": 1},
		Sent:     int64(len(encode("SET k v"))*3 + len(encode("get k")+encode("GET none")+encode("PING")+encode("ECHO "+long))),
		Received: int64(len("+OK\r\n")*3 + len("$1\r\nv\r\n$-1\r\n+PONG\r\n") + len("$100000\r\n\r\n") + len(long)),
	}
	if diff := cmp.Diff(all, p.Counts()); diff != "" {
		t.Error(diff)
	}
	since := p.Counts().Since(before)
	if since.Commands != 4 || since.RoundTrips != 2 || since.Connections != 1 {
		t.Errorf("since the first three: %+v", since)
	}
	if diff := cmp.Diff(map[string]int{"GET": 2, "PING": 1, "ECHO": 1}, since.Names); diff != "" {
		t.Error(diff)
	}
	each := p.PerConnection()
	if len(each) != 2 || each[0].Commands != 6 || each[0].RoundTrips != 4 || each[1].Commands != 1 || each[1].RoundTrips != 1 {
		t.Errorf("by connection: %+v", each)
	}
}

// subscriptionTest: what is pushed answers nothing, and a subscription waits for no reply.
func subscriptionTest(t *testing.T, p *redistest.Proxy, version, sign string) {
	w := connect(t, p.Addr())
	w.send("HELLO "+version, "ECHO ready")
	for line := ""; line != "ready\r\n"; {
		var err error
		if line, err = w.in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	other := connect(t, p.Addr())
	w.send("SUBSCRIBE c")
	w.want(sign+"3", "$9", "subscribe", "$1", "c", ":1")
	other.send("PUBLISH c hello")
	other.want(":1")
	w.want(sign+"3", "$7", "message", "$1", "c", "$5", "hello")
	for range 2 {
		w.send("PING")
		// The old protocol answers a subscriber in another form; the fake does so in the new one too.
		if line, err := w.in.ReadString('\n'); line == "*2\r\n" {
			w.want("$4", "pong", "$0", "")
		} else if line != "+PONG\r\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	if got := p.PerConnection()[0]; got.Commands != 5 || got.RoundTrips != 4 {
		t.Errorf("%+v", got)
	}
}

func lostTest(t *testing.T, p *redistest.Proxy, direct string) {
	p.LoseReplies(2, "incr")
	for n := range 2 {
		w := connect(t, p.Addr())
		w.send("GET none")
		w.want("$-1")
		w.send("INCR k")
		w.wantEnd()
		other := connect(t, direct)
		other.send("GET k")
		other.want("$1", fmt.Sprint(n+1))
	}
	w := connect(t, p.Addr())
	w.send("INCR k")
	w.want(":3")
	p.LoseReplies(1)
	w.send("PING")
	w.wantEnd()
}

func lateRequestsTest(t *testing.T, p *redistest.Proxy, direct string) {
	w, other := connect(t, p.Addr()), connect(t, direct)
	p.HoldRequests()
	before := p.Counts().Commands
	w.send("LPUSH k v")
	for p.Counts().Commands == before {
		other.send("LLEN k")
		other.want(":0")
	}
	_ = w.Close()
	other.send("LLEN k")
	other.want(":0")
	other.send("BLPOP k 20")
	p.Mend()
	other.want("*2", "$1", "k", "$1", "v")
}

func lateRepliesTest(t *testing.T, p *redistest.Proxy, direct string) {
	w, other := connect(t, p.Addr()), connect(t, direct)
	p.HoldReplies()
	w.send("LPUSH k v", "PING")
	other.send("BLPOP k 20")
	other.want("*2", "$1", "k", "$1", "v")
	if got := p.Counts().Received; got != 0 {
		t.Errorf("%d bytes reached the client", got)
	}
	p.Mend()
	w.want(":1", "+PONG")
}

func delayTest(t *testing.T, p *redistest.Proxy, direct string) {
	w, other := connect(t, p.Addr()), connect(t, direct)
	p.Delay(time.Millisecond)
	w.send("PING", "PING")
	w.want("+PONG", "+PONG")
	p.Delay(time.Hour)
	w.send("LPUSH k v")
	other.send("BLPOP k 20")
	other.want("*2", "$1", "k", "$1", "v")
	if got := p.Counts().Received; got != int64(len("+PONG\r\n")*2) {
		t.Errorf("%d bytes reached the client", got)
	}
	p.Delay(0)
	w.want(":1")
	p.Delay(time.Hour)
	w.send("PING")
	p.Break()
	w.wantEnd()
}

func blackHoleTest(t *testing.T, p *redistest.Proxy, direct string) {
	p.BlackHole()
	w, other := connect(t, p.Addr()), connect(t, direct)
	w.send("PING")
	for p.Counts().Commands == 0 {
		other.send("LLEN k")
		other.want(":0")
	}
	if got := p.Counts().Received; got != 0 {
		t.Errorf("%d bytes reached the client", got)
	}
	p.Mend()
	w.want("+PONG")
	p.BlackHole() // the end of the test ends it all the same
	w.send("PING")
}

func cutTest(t *testing.T, p *redistest.Proxy, _ string) {
	w := connect(t, p.Addr())
	w.send("PING")
	w.want("+PONG")
	p.Cut()
	w.wantEnd()
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		_ = conn.Close()
		t.Error("it takes connections while it is cut")
	}
	p.Mend()
	w = connect(t, p.Addr())
	w.send("PING")
	w.want("+PONG")
	p.Break()
	w.wantEnd()
	w = connect(t, p.Addr())
	w.send("PING")
	w.want("+PONG")
}
