package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
)

const (
	fleetSize    = 5
	fleetWorkers = 12
	fleetTerms   = ", heartbeat: {interval: 150ms, timeout: 800ms, grace: 700ms}"
	fleetBeat    = 150 * time.Millisecond
)

var (
	fleetOwners = terms{timeout: 800 * time.Millisecond, grace: 700 * time.Millisecond}
	fleetLimits = map[string]int{"a": 1, "b": 2, "c": 3, "d": 6, "e": 4}
)

// fleetConfig is a pool in which only some accounts serve model n; a limit counts factor times.
func fleetConfig(socket, state string, factor int) string {
	var b strings.Builder
	b.WriteString("accounts:\n")
	for _, id := range slices.Sorted(maps.Keys(fleetLimits)) {
		models := ""
		if id == "d" {
			models = ", models: {m: m}"
		}
		fmt.Fprintf(&b, "  - {id: %s, max_concurrency: %d, groups: [soak]%s}\n", id, factor*fleetLimits[id], models)
	}
	fmt.Fprintf(&b, "server: {listen: ['unix://%s'], drain_timeout: 1s%s}\n", socket, fleetTerms)
	fmt.Fprintf(&b, "memory: {state_file: %q}\n", state)
	return b.String()
}

// fleet is an usher, and gateways that each reach it through a cutter of its own.
type fleet struct {
	*server
	conf, state string
	posts       []*post
	watch       *fleetWatch
	file        *fileWatch

	// mu guards what follows, and the lives themselves while their processes live.
	mu      sync.Mutex
	lives   []*life
	tally   map[string]int
	outages []outage
}

// post is where one gateway stands after the other, all of one name.
type post struct {
	name    string
	number  int
	cutter  *cutter
	gateway *busyProcess
	due     time.Time
	stopped bool
	deck    []trouble
}

// busyProcess is a gateway of the soak in a process of its own. ended is closed when all it wrote has been read.
type busyProcess struct {
	*life
	cmd   *exec.Cmd
	words io.WriteCloser
	ended chan struct{}
}

func newFleet(t *testing.T, factor int) *fleet {
	t.Helper()
	f := &fleet{state: filepath.Join(t.TempDir(), "state"), tally: make(map[string]int)}
	socket := socketPath(t)
	f.conf = file(t, fleetConfig(socket, f.state, factor))
	f.server = serve(t, "--config", f.conf)
	f.file = watchFile(t, f.state)
	f.watch = watchFleet(t, dial(t, f.addresses[0], eager, grpc.WithDefaultCallOptions(grpc.WaitForReady(true))))
	for i := range fleetSize {
		f.posts = append(f.posts, &post{name: fmt.Sprintf("gateway-%d", i), cutter: newPatientCutter(t, f.addresses[0])})
	}
	for _, p := range f.posts {
		f.start(t, p, false)
	}
	return f
}

// start puts the post's next gateway up.
func (f *fleet) start(t *testing.T, p *post, replaces bool) {
	t.Helper()
	p.number++
	text, err := json.Marshal(busySpec{
		Address: p.cutter.address(), Name: p.name, Incarnation: fmt.Sprint(p.number), Replaces: replaces,
		Workers: fleetWorkers, Seed: uint64(time.Now().UnixNano()),
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &busyProcess{life: newLife(p.name, p.number), cmd: exec.Command(os.Args[0]), ended: make(chan struct{})}
	g.cmd.Env = append(os.Environ(), busyEnv+"="+string(text))
	g.cmd.Stderr = os.Stderr
	if g.words, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.lives = append(f.lives, g.life)
	f.mu.Unlock()
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		f.read(g.life, out)
		_ = g.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		<-g.ended
	})
	p.gateway, p.stopped = g, false
}

// read takes the gateway's records until it ends; its last line may be half of one.
func (f *fleet) read(l *life, out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\n")
		f.mu.Lock()
		if at, ok := strings.CutPrefix(line, "replaces "); ok {
			f.replace(l, at)
		} else if err := l.read(line, f.tally); err != nil {
			l.wrong = append(l.wrong, fmt.Sprintf("a record cannot be read: %v", err))
		}
		f.mu.Unlock()
	}
}

// replace ends what is sure of the name's earlier incarnations. mu is held.
func (f *fleet) replace(by *life, at string) {
	var n int64
	if _, err := fmt.Sscan(at, &n); err != nil {
		by.wrong = append(by.wrong, err.Error())
	}
	for _, l := range f.lives {
		if l.name == by.name && l.number < by.number {
			l.replaced = min(l.replaced, time.Duration(n))
		}
	}
}

func (p *post) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.gateway.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// note takes down what is about to be done to a gateway.
func (f *fleet) note(p *post, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := p.gateway.life
	f.tally["trouble: "+what]++
	switch what {
	case "killed", "cut":
		l.breaches = append(l.breaches, breach{0, clockNow()})
	case "stopped":
		l.stops = append(l.stops, clockNow())
	case "continued":
		l.conts = append(l.conts, clockNow())
	}
}

func (f *fleet) kill(t *testing.T, p *post) {
	t.Helper()
	f.note(p, "killed")
	p.signal(t, syscall.SIGKILL)
	<-p.gateway.ended
	p.gateway = nil
}

// restart kills usher and starts it again.
func (f *fleet) restart(t *testing.T) {
	t.Helper()
	f.watch.restarts()
	o := outage{safe: f.file.safe(), killed: clockNow()}
	f.signal(t, syscall.SIGKILL)
	f.exit(t)
	o.started = clockNow()
	f.mu.Lock()
	f.outages = append(f.outages, o)
	f.tally["trouble: usher killed"]++
	f.mu.Unlock()
	f.server = serve(t, "--config", f.conf)
}

// drain lets every gateway give back what it holds, save the last one, which is killed while it holds some.
func (f *fleet) drain(t *testing.T) {
	t.Helper()
	for i, p := range f.posts {
		switch {
		case p.gateway == nil:
		case i == 0:
			if p.stopped {
				f.note(p, "continued")
				p.signal(t, syscall.SIGCONT)
			}
		case p.stopped:
			f.note(p, "continued")
			p.signal(t, syscall.SIGCONT)
			fallthrough
		default:
			if _, err := io.WriteString(p.gateway.words, "drain\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p := f.posts[0]; p.gateway != nil {
		eventually(t, "the gateway that is killed at last holds something", func() bool { return f.holds(p) })
		f.kill(t, p)
	}
	for _, p := range f.posts {
		if p.gateway != nil {
			eventually(t, p.name+" gives everything back", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return p.gateway.drained
			})
		}
	}
}

func (f *fleet) holds(p *post) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range p.gateway.grants {
		if g.ended == 0 && g.lost == 0 {
			return true
		}
	}
	return false
}

// leave ends the gateways that are left.
func (f *fleet) leave() {
	for _, p := range f.posts {
		if p.gateway != nil {
			_ = p.gateway.words.Close()
			<-p.gateway.ended
		}
	}
}
