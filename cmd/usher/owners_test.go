package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	gatewayLeases = 10
	otherLeases   = 3
	ownerTerms    = ", heartbeat: {interval: 200ms, timeout: 4s, grace: 2s}"
	ownerTimeout  = 4 * time.Second
	ownerGrace    = 2 * time.Second
	// ownerBeats is how many heartbeats fill more than timeout and grace.
	ownerBeats = 35
)

// gatewayProcess is a gateway in a process of its own. What it tells is its out.
type gatewayProcess struct {
	*server
	words io.Writer
}

func startGateway(t *testing.T, spec gatewaySpec) *gatewayProcess {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	g := &gatewayProcess{server: &server{out: newOutput(), log: newOutput(), ended: make(chan struct{})}}
	g.cmd = exec.Command(os.Args[0])
	g.cmd.Env = append(os.Environ(), gatewayEnv+"="+string(text))
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.log
	if g.words, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		_ = g.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		<-g.ended
	})
	g.await(t, g.out, "hello\n", 1)
	if spec.Leases > 0 {
		g.await(t, g.out, fmt.Sprintf("holds %d\n", spec.Leases), 1)
	}
	g.await(t, g.out, "acked ", 1)
	return g
}

func (g *gatewayProcess) tell(t *testing.T, word string) {
	t.Helper()
	if _, err := io.WriteString(g.words, word+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (g *gatewayProcess) count(what string) int {
	text, _ := g.out.state()
	return strings.Count(text, what)
}

// household is an usher with one account, which a gateway and another client fill.
type household struct {
	*server
	gateway *gatewayProcess
	other   usherv1.SchedulerServiceClient
	spec    gatewaySpec
}

// full starts a gateway that holds 10 leases, and takes the other 3 that there are.
func full(t *testing.T, server string) *household {
	t.Helper()
	h := &household{server: serve(t, "--config", file(t, fmt.Sprintf(
		"accounts: [{id: a, max_concurrency: %d}]\nserver: {listen: ['127.0.0.1:0'], drain_timeout: 100ms%s}\n", gatewayLeases+otherLeases, server)))}
	h.spec = gatewaySpec{Address: h.addresses[0], Name: "gateway", Incarnation: "1", Leases: gatewayLeases}
	h.other = h.scheduler(t)
	h.gateway = startGateway(t, h.spec)
	for range otherLeases {
		choose(t, h.other, &usherv1.SelectRequest{Owner: &usherv1.Owner{Name: "other", Incarnation: "1"}})
	}
	if h.otherGets(t) {
		t.Fatal("the account is not full")
	}
	return h
}

// otherGets says whether the other client gets one more lease, which it gives back at once.
func (h *household) otherGets(t *testing.T) bool {
	t.Helper()
	resp, err := h.other.Select(t.Context(), &usherv1.SelectRequest{})
	if err != nil {
		t.Fatal(err)
	}
	token := resp.GetSelection().GetLeaseToken()
	if token != "" {
		reported(t, h.other, token, usherv1.Outcome_OUTCOME_SUCCESS)
	}
	return token != ""
}

func (h *household) inUse(t *testing.T) int {
	t.Helper()
	return int(account(t, h.server).GetInUse())
}

// drops waits until only the other client's leases are in use, and tells how long that took since.
func (h *household) drops(t *testing.T, since time.Time, bound time.Duration) {
	t.Helper()
	eventually(t, "the other client gets more", func() bool { return h.otherGets(t) })
	eventually(t, "in use is only what the other client holds", func() bool { return h.inUse(t) == otherLeases })
	t.Logf("in use dropped to %d after %v; promised: within %v", otherLeases, time.Since(since).Round(time.Millisecond), bound)
}

func TestGatewayIsKilled(t *testing.T) {
	h := full(t, ownerTerms)
	h.gateway.signal(t, syscall.SIGKILL)
	since := time.Now()
	h.gateway.exit(t)
	h.drops(t, since, ownerGrace+time.Second)
}

func TestGatewayIsStopped(t *testing.T) {
	h := full(t, ownerTerms)
	h.gateway.signal(t, syscall.SIGSTOP)
	since := time.Now()
	h.drops(t, since, ownerTimeout+ownerGrace+time.Second)
	if h.gateway.count("lost ") > 0 {
		t.Error("a stopped process has written")
	}
	h.gateway.signal(t, syscall.SIGCONT)
	h.gateway.await(t, h.gateway.out, "lost LEASE_END_OWNER_SILENT ", gatewayLeases)
	if n := h.inUse(t); n != otherLeases {
		t.Errorf("%d in use, want %d", n, otherLeases)
	}
}

// The grace is long here: only replaces_previous can free them.
func TestGatewayReplacesItsPrevious(t *testing.T) {
	h := full(t, ", heartbeat: {grace: 1h}")
	h.gateway.signal(t, syscall.SIGKILL)
	h.gateway.exit(t)
	if n := h.inUse(t); n != gatewayLeases+otherLeases {
		t.Fatalf("%d in use before the restart", n)
	}
	h.spec.Incarnation, h.spec.Replaces, h.spec.Leases = "2", true, 0
	since := time.Now()
	startGateway(t, h.spec)
	if n := h.inUse(t); n != otherLeases {
		t.Errorf("%d in use after the hello, want %d", n, otherLeases)
	}
	t.Logf("a restarted gateway's hello was through after %v", time.Since(since).Round(time.Millisecond))
}

func TestGatewayComesBackInTime(t *testing.T) {
	h := full(t, ownerTerms)
	h.gateway.tell(t, "break")
	h.gateway.await(t, h.gateway.out, "hello\n", 2)
	h.gateway.await(t, h.gateway.out, "acked ", h.gateway.count("acked ")+ownerBeats)
	if n := h.inUse(t); n != gatewayLeases+otherLeases || h.gateway.count("lost ") > 0 {
		t.Errorf("%d in use, want %d; lost %d", n, gatewayLeases+otherLeases, h.gateway.count("lost "))
	}
}

func TestGatewayForgetsALease(t *testing.T) {
	h := full(t, ownerTerms)
	h.gateway.tell(t, "forget")
	_, forgotten, _ := strings.Cut(h.gateway.await(t, h.gateway.out, "forgot ", 1), " ")
	since := time.Now()
	h.gateway.await(t, h.gateway.out, "lost LEASE_END_FORGOTTEN "+forgotten, 1)
	t.Logf("a forgotten lease ended after %v; heartbeats come every 200ms", time.Since(since).Round(time.Millisecond))
	h.gateway.await(t, h.gateway.out, "acked ", h.gateway.count("acked ")+5)
	if n := h.inUse(t); n != gatewayLeases+otherLeases-1 || h.gateway.count("lost ") != 1 {
		t.Errorf("%d in use, want %d; lost %d", n, gatewayLeases+otherLeases-1, h.gateway.count("lost "))
	}
}

// TestUsherIsKilledUnderAGateway: leases that are in the file stand before any is granted, and those of the last moment,
// which are not, are taken up again from the gateway's heartbeat.
func TestUsherIsKilledUnderAGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	accounts := fmt.Sprintf("[{id: a, max_concurrency: %d, groups: [g]}, {id: c, groups: [change]}]", gatewayLeases)
	conf := file(t, strings.Replace(stateConfig(accounts, path, ownerTerms), "127.0.0.1:0", "unix://"+socketPath(t), 1))
	s := serve(t, "--config", conf)
	awaitWritten(t, s.scheduler(t), path) // with the key, if with nothing else
	g := startGateway(t, gatewaySpec{Address: s.addresses[0], Name: "gateway", Incarnation: "1", Group: "g", Leases: gatewayLeases})
	s.signal(t, syscall.SIGKILL)
	s.exit(t)
	hellos := g.count("hello\n")
	s = serve(t, "--config", conf)
	since := time.Now()
	g.await(t, g.out, "hello\n", hellos+1)
	eventually(t, "the gateway's leases are in use again", func() bool { return find(t, s, "a").GetInUse() == gatewayLeases })
	t.Logf("%d leases are in use again %v after the restart", gatewayLeases, time.Since(since).Round(time.Millisecond))
	g.await(t, g.out, "acked ", g.count("acked ")+ownerBeats)
	if n := find(t, s, "a").GetInUse(); n != gatewayLeases || g.count("lost ") > 0 {
		t.Errorf("%d in use, want %d; lost %d", n, gatewayLeases, g.count("lost "))
	}
	if resp, err := s.scheduler(t).Select(t.Context(), &usherv1.SelectRequest{Group: "g"}); err != nil || resp.GetSelection() != nil {
		t.Errorf("a full account gave %v, %v", resp, err)
	}
}
