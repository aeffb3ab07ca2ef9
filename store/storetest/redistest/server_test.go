package redistest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
	"go.uber.org/goleak"

	"usher.internal/store/storetest/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// orphaning tells a copy of this test that it is to start a server and be killed.
const orphaning = "REDISTEST_ORPHANING"

// TestServers is every test that needs a server; without one on the machine there is none.
func TestServers(t *testing.T) {
	if !redistest.Available() {
		return
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"a server is empty and alone", aloneTest},
		{"ended and started", endedTest},
		{"kept over a kill", keptTest},
		{"paused", pausedTest},
		{"out of memory", memoryTest},
		{"a password", passwordTest},
		{"users", usersTest},
		{"TLS", tlsTest},
		{"a cluster heals", clusterTest},
		{"Sentinels fail over", sentinelTest},
		{"no server outlives a killed test", orphanTest},
		{"a mistake is told", mistakeTest},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func expect(t *testing.T, s *redistest.Server, want string, args ...string) {
	t.Helper()
	if got := s.Must(args...); got != want {
		t.Errorf("%s gives %q, want %q", strings.Join(args, " "), got, want)
	}
}

// dial gives a connection to the port.
func dial(t *testing.T, addr string) *proto.Client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return proto.NewClient(conn)
}

func aloneTest(t *testing.T) {
	s, other := redistest.Single(t), redistest.Single(t)
	expect(t, s, "0", "DBSIZE")
	expect(t, s, "OK", "SET", "k", "v")
	expect(t, s, "", "GET", "none")
	expect(t, other, "0", "DBSIZE")
	if raw, err := dial(t, s.Addr()).Do("GET", "k"); raw != "$1\r\nv\r\n" {
		t.Errorf("GET over the port gives %q, %v", raw, err)
	}
	if _, err := s.Do("NONSENSE"); err == nil || !strings.HasPrefix(err.Error(), "ERR unknown command") {
		t.Errorf("an error reply is %v", err)
	}
	if got := s.Info("redis_mode"); got != "standalone" {
		t.Errorf("the mode is %q", got)
	}
}

func endedTest(t *testing.T) {
	s := redistest.Single(t)
	addr := s.Addr()
	for _, end := range []func(){s.Stop, s.Kill} {
		s.Must("SET", "k", "v")
		end()
		if _, err := s.Do("PING"); err == nil {
			t.Error("it answers after its end")
		}
		s.Start()
		expect(t, s, "0", "DBSIZE")
		if s.Addr() != addr {
			t.Errorf("now at %s, was at %s", s.Addr(), addr)
		}
	}
}

func keptTest(t *testing.T) {
	s := redistest.Single(t, redistest.AppendOnly())
	s.Must("SET", "k", "v")
	s.Kill()
	s.Start()
	expect(t, s, "v", "GET", "k")
	s.Stop()
	s.Wipe()
	s.Start()
	expect(t, s, "", "GET", "k")
}

func pausedTest(t *testing.T) {
	s := redistest.Single(t)
	c := dial(t, s.Addr())
	s.Pause()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Do("INCR", "k")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a paused server answers: %v", err)
	case <-quiet(t):
	}
	s.Resume()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	expect(t, s, "1", "GET", "k")
	s.Pause() // the end of the test ends it all the same
}

// quiet is done after a while in which something wrong would have been seen.
func quiet(t *testing.T) <-chan struct{} {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx.Done()
}

func memoryTest(t *testing.T) {
	s := redistest.Single(t, redistest.MaxMemory("3mb", "noeviction"))
	large := strings.Repeat("x", 1<<20)
	var err error
	for i := 0; i < 4 && err == nil; i++ {
		_, err = s.Do("SET", string(rune('a'+i)), large)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("a full server says %v", err)
	}
}

func passwordTest(t *testing.T) {
	s := redistest.Single(t, redistest.Password("secret"))
	expect(t, s, "PONG", "PING")
	if raw, err := dial(t, s.Addr()).Do("PING"); !strings.HasPrefix(raw, "-NOAUTH") {
		t.Errorf("without a password: %q, %v", raw, err)
	}
}

func usersTest(t *testing.T) {
	s := redistest.Single(t, redistest.Users("user usher on >secret ~usher:* &* +@all", "user default off"))
	expect(t, s, "OK", "SET", "other", "v")
	c := dial(t, s.Addr())
	for _, step := range []struct{ reply, command string }{
		{"-NOAUTH", "GET usher:k"},
		{"-WRONGPASS", "AUTH usher wrong"},
		{"+OK", "AUTH usher secret"},
		{"$-1", "GET usher:k"},
		{"-NOPERM", "GET other"},
	} {
		if raw, err := c.Do(strings.Fields(step.command)...); !strings.HasPrefix(raw, step.reply) {
			t.Errorf("%s gives %q, %v, want %s", step.command, raw, err, step.reply)
		}
	}
}

func tlsTest(t *testing.T) {
	s := redistest.Single(t, redistest.TLS())
	conn, err := tls.Dial("tcp", s.Addr(), s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if raw, err := proto.NewClient(conn).Do("PING"); raw != "+PONG\r\n" {
		t.Errorf("PING gives %q, %v", raw, err)
	}
	if _, err := tls.Dial("tcp", s.Addr(), &tls.Config{}); err == nil {
		t.Error("a stranger trusts the server")
	}
}

// orphanTest starts itself anew as the process that is killed.
func orphanTest(t *testing.T) {
	if os.Getenv(orphaning) != "" {
		fmt.Println("socket", redistest.Single(t).Socket())
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	if runtime.GOOS != "linux" {
		return
	}
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), orphaning+"=1", "TMPDIR="+t.TempDir())
	hold, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hold.Close() }()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	socket := ""
	for lines := bufio.NewScanner(out); socket == "" && lines.Scan(); {
		socket, _ = strings.CutPrefix(lines.Text(), "socket ")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Error(err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server is still there: %v", err)
	}
}

// told collects what a test would have failed with.
type told struct {
	*testing.T
	said string
}

func (f *told) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func mistakeTest(t *testing.T) {
	f := &told{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		redistest.Single(f, redistest.With("no-such-directive", "yes"))
	}()
	<-done
	if !strings.Contains(f.said, "no-such-directive") {
		t.Errorf("it says %q", f.said)
	}
}
