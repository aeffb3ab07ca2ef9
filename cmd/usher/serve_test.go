package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	usherv1 "usher.internal/gen/usher/v1"
)

func TestServeRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	valid := file(t, "accounts: []\n")
	invalid := file(t, "accounts:\n  - id: a\n    state: pasued\n    prio: 3\n")
	folder := t.TempDir()
	stateful := file(t, "accounts: []\nmemory: {state_file: "+filepath.Join(folder, "state")+"}\n")
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"no pool":         {nil, 2, []string{"--config FILE", "usher config example", "--demo"}},
		"two pools":       {[]string{"--demo", "--config", valid}, 2, []string{"--config", "--demo"}},
		"traffic":         {[]string{"--config", valid, "--no-demo-traffic"}, 2, []string{"--demo"}},
		"address":         {[]string{"--demo", "--listen", "7411"}, 2, []string{"--listen", "HOST:PORT"}},
		"level":           {[]string{"--demo", "--log-level", "loud"}, 2, []string{"--log-level", "debug"}},
		"demo on Redis":   {[]string{"--demo", "--redis", "redis://h"}, 2, []string{"--redis", "in memory"}},
		"Redis password":  {[]string{"--config", valid, "--redis", "redis://u:p@h"}, 2, []string{"--redis", "USHER_REDIS_PASSWORD"}},
		"state and Redis": {[]string{"--config", stateful, "--redis", "redis://h"}, 1, []string{"memory.state_file: is for the store in memory"}},
		"drain timeout":   {[]string{"--demo", "--drain-timeout", "-1s"}, 2, []string{"--drain-timeout"}},
		"port in use":     {[]string{"--demo", "--listen", taken.Addr().String()}, 1, []string{taken.Addr().String(), "another process has this port"}},
		"every interface": {[]string{"--demo", "--listen", "0.0.0.0:0"}, 1, []string{"0.0.0.0:0", "--insecure"}},
		"missing file":    {[]string{"--config", filepath.Join(folder, "none.yaml")}, 1, []string{"none.yaml: there is no such file"}},
		"directory":       {[]string{"--config", folder}, 1, []string{folder + ": this is a directory"}},
		"invalid file": {[]string{"--config", invalid}, 1, []string{
			invalid + ":3: accounts[0].state: \"pasued\" is not allowed; allowed: active, draining, paused, disabled",
			invalid + ":4: accounts[0].prio: unknown field; allowed here: id, type, provider, priority",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := usher(t, append([]string{"serve"}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("standard error lacks %q:\n%s", want, stderr)
				}
			}
		})
	}
}

func TestSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "usher") //nolint:usetesting // its path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "u.sock")
	address := "unix://" + path

	first := serve(t, "--demo", "--no-demo-traffic", "--listen", address)
	if _, stderr, code := usher(t, "serve", "--demo", "--listen", address); code != 1 || !strings.Contains(stderr, "another usher runs on it") {
		t.Errorf("the demo again: exit code %d, %s", code, stderr)
	}
	_, stderr, code := usher(t, "serve", "--config", file(t, "accounts: []"), "--listen", address)
	if code != 1 || !strings.Contains(stderr, "a living process listens there") {
		t.Errorf("living: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := usher(t, "select", "--address", address); code != 0 {
		t.Errorf("the living one serves no more: %s", stderr)
	}
	first.signal(t, syscall.SIGKILL)
	first.exit(t)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no dead socket to test with: %v", err)
	}
	second := serve(t, "--demo", "--no-demo-traffic", "--listen", address)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket file: %v, %v", info, err)
	}
	second.signal(t, syscall.SIGTERM)
	if code := second.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file outlives usher: %v", err)
	}
}

func TestTermWithOpenStreams(t *testing.T) {
	s := serve(t, "--config", file(t, "accounts: [{id: a}]"+freePort))
	conn := s.dial(t)
	scheduler := usherv1.NewSchedulerServiceClient(conn)
	// Nobody reports this lease: the drain waits for it as long as it may.
	if _, err := scheduler.Select(t.Context(), &usherv1.SelectRequest{}); err != nil {
		t.Fatal(err)
	}
	metrics, err := usherv1.NewMetricsServiceClient(conn).StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.Recv(); err != nil {
		t.Fatal(err)
	}
	reports, err := scheduler.ReportStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hello := &usherv1.ClientHello{Owner: &usherv1.Owner{Name: "gw", Incarnation: "1"}}
	if err := reports.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{Hello: hello}}); err != nil {
		t.Fatal(err)
	}
	if _, err := reports.Recv(); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.await(t, s.log, `"msg":"stopped"`, 1)
}

// TestTermBeforeItServes: Redis accepts and never answers, and the start is called off.
func TestTermBeforeItServes(t *testing.T) {
	for name, mode := range map[string]string{"one server": "single", "sentinel": "sentinel, master: m", "cluster": "cluster"} {
		t.Run(name, func(t *testing.T) {
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = silent.Close() }()
			s := launch(t, nil, "--config", file(t, "accounts: [{id: a}]\nredis: {urls: ['redis://"+silent.Addr().String()+"'], mode: "+mode+"}"+freePort))
			conn, err := silent.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			s.signal(t, syscall.SIGTERM)
			if code := s.exit(t); code != 0 {
				text, _ := s.log.state()
				t.Errorf("exit code %d\n%s", code, text)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := serve(t, "--config", file(t, "accounts: [{id: a}]"+freePort), "--drain-timeout", "1h")
	if _, err := usherv1.NewSchedulerServiceClient(s.dial(t)).Select(t.Context(), &usherv1.SelectRequest{}); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGINT)
	s.await(t, s.log, `"msg":"stopping"`, 1)
	s.signal(t, syscall.SIGINT)
	if code := s.exit(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

// replace puts a whole file in another's place: nobody finds it half written.
func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Rename(file(t, text), path); err != nil {
		t.Fatal(err)
	}
}

func TestHangupReloads(t *testing.T) {
	path := file(t, "accounts: [{id: a}]"+freePort)
	s := serve(t, "--config", path)
	s.signal(t, syscall.SIGHUP)
	s.await(t, s.log, `"msg":"reloaded"`, 1)
	replace(t, path, "accounts: [{id: b, weight: 1}]")
	s.signal(t, syscall.SIGHUP)
	s.await(t, s.log, path+":1: accounts[0].weight: unknown field", 1)
	replace(t, path, "accounts: [{id: b}]"+freePort)
	s.signal(t, syscall.SIGHUP)
	s.await(t, s.log, `"msg":"reloaded"`, 2)
	stdout, stderr, _ := usher(t, "select", "--address", s.addresses[0])
	if !strings.Contains(stdout, "b") || strings.Contains(stdout, "account    a") {
		t.Errorf("select gave %s%s", stdout, stderr)
	}
}

func TestDemo(t *testing.T) {
	s := serve(t, "--demo", "--listen", "127.0.0.1:0", "--drain-timeout", "30s")
	s.await(t, s.out, "select --address "+s.addresses[0]+" --model gpt-5 --session", 1)
	stream, err := usherv1.NewMetricsServiceClient(s.dial(t)).StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(resp.GetSnapshot().GetAccounts()); n != 8 {
			t.Fatalf("%d accounts", n)
		}
		if totals := resp.GetSnapshot().GetTotals(); totals.GetSelectTotal() > 20 && totals.GetStickySessionHitTotal() > 0 &&
			totals.GetRuntimeStatsAccountCount() > 0 {
			break
		}
	}
	s.signal(t, os.Interrupt)
	if code := s.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if text, _ := s.log.state(); strings.Contains(text, "cut off") {
		t.Errorf("the traffic left something in use:\n%s", text)
	}
}
