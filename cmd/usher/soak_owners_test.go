package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// trouble is what happens to a gateway.
type trouble uint8

const (
	killed       trouble = iota // and another is started
	cut                         // its connection, and it comes back
	stopped                     // for longer than usher waits
	stoppedShort                // for less
)

// TestSoakOwners has gateways killed, stopped and cut off, and usher killed too, while all select and report; and judges by what the
// gateways took down that no limit is passed, and that no lease ends before it may or outlives its owner. USHER_SOAK is for
// how long; with or without it every kind of trouble comes at least once.
func TestSoakOwners(t *testing.T) {
	budget := soakBudget(t)
	f := newFleet(t, 1)
	since := time.Now()
	f.makeTrouble(t, func() bool {
		return budget.lasts > 0 && time.Since(since) < budget.lasts || f.lacks() != nil
	})
	f.drain(t)
	f.awaitNothing(t, budget)
	f.leave()
	f.checkProcess(t)
	v := f.verdict()
	f.summary(t, v, time.Since(since))
	f.check(t, v)
}

// makeTrouble goes on while more says so.
func (f *fleet) makeTrouble(t *testing.T, more func() bool) {
	t.Helper()
	for _, p := range f.posts {
		p.due = time.Now().Add(between(300*time.Millisecond, 1500*time.Millisecond))
	}
	restart := time.Now().Add(between(1200*time.Millisecond, 3*time.Second))
	for more() {
		p := slices.MinFunc(f.posts, func(a, b *post) int { return a.due.Compare(b.due) })
		if restart.Before(p.due) {
			pause(t.Context(), time.Until(restart))
			f.restart(t)
			restart = time.Now().Add(between(2*time.Second, 7*time.Second))
			continue
		}
		pause(t.Context(), time.Until(p.due))
		p.due = time.Now().Add(f.happen(t, p))
	}
}

func between(a, b time.Duration) time.Duration { return a + time.Duration(rand.Int64N(int64(b-a))) }

// happen does the next thing to a gateway, and gives the time until the one after.
func (f *fleet) happen(t *testing.T, p *post) time.Duration {
	t.Helper()
	switch {
	case p.gateway == nil:
		f.start(t, p, rand.IntN(2) == 0)
		return between(500*time.Millisecond, 2*time.Second)
	case p.stopped && rand.IntN(5) == 0:
		f.kill(t, p)
		return between(0, 300*time.Millisecond)
	case p.stopped:
		f.note(p, "continued")
		p.signal(t, syscall.SIGCONT)
		p.stopped = false
		return between(300*time.Millisecond, time.Second)
	}
	if len(p.deck) == 0 {
		p.deck = []trouble{killed, killed, cut, cut, cut, stopped, stopped, stoppedShort}
		rand.Shuffle(len(p.deck), func(i, j int) { p.deck[i], p.deck[j] = p.deck[j], p.deck[i] })
	}
	next := p.deck[0]
	p.deck = p.deck[1:]
	switch next {
	case killed:
		f.kill(t, p)
		return between(0, 1200*time.Millisecond)
	case cut:
		f.note(p, "cut")
		p.cutter.cut()
	case stopped, stoppedShort:
		f.note(p, "stopped")
		p.signal(t, syscall.SIGSTOP)
		p.stopped = true
		if next == stoppedShort {
			return between(50*time.Millisecond, fleetOwners.timeout)
		}
		over := fleetOwners.timeout + fleetOwners.grace
		return between(over+200*time.Millisecond, over+time.Second)
	}
	return between(300*time.Millisecond, 1500*time.Millisecond)
}

// lacks names what has not happened yet.
func (f *fleet) lacks() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(f.lives, (*life).wentOn) {
		names = append(names, "lease granted to one that was stopped for long and has gone on")
	}
	for _, what := range []string{
		"trouble: killed", "trouble: stopped", "trouble: continued", "trouble: cut", "trouble: usher killed", "told lost OWNER_SILENT",
		"told lost FORGOTTEN", "select again", "release by request id", "released by stream", "released by call", "stream broken",
	} {
		if f.tally[what] == 0 {
			names = append(names, what)
		}
	}
	return names
}

// lookMost is how long after another a look at usher's metrics ends, unless the machine is busy: what goes beyond it is late.
const lookMost = 50 * time.Millisecond

// awaitNothing waits until nothing is in use and nobody waits: the load is over, and so must be all that it left. For what is late
// nobody here or in usher had the machine.
func (f *fleet) awaitNothing(t *testing.T, budget soakLength) {
	t.Helper()
	since := time.Now()
	last, late := since, time.Duration(0)
	var s *usherv1.MetricsSnapshot
	defer func() {
		if t.Failed() {
			log, _ := f.log.state()
			t.Logf("left is %v\n%s", s, log)
		}
	}()
	eventually(t, "nothing is in use and nobody waits", func() bool {
		var err error
		s, err = f.watch.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		last, late = now, late+max(now.Sub(last)-lookMost, 0)
		n := s.GetLeasesLive() + s.GetWaiting()
		for _, a := range s.GetAccounts() {
			n += uint64(a.GetInUse()) + uint64(a.GetWaiting())
		}
		return n == 0
	})
	took := time.Since(since)
	t.Logf("nothing in use, nobody waits %v after the load, %v of it late; promised: within %v",
		took.Round(time.Millisecond), late.Round(time.Millisecond), fleetOwners.grace+time.Second)
	if budget.lasts > 0 && took-late > fleetOwners.grace+time.Second {
		t.Errorf("it took %v until nothing was in use", took)
	}
}

// checkProcess looks at what is left in usher's process when all are gone, against one that had nothing to do. It ends both.
func (f *fleet) checkProcess(t *testing.T) {
	t.Helper()
	eventually(t, "no stream is left", func() bool {
		s, err := f.watch.look(t.Context())
		return err == nil && s.GetOwnersAttached() == 0
	})
	idle := serve(t, "--config", file(t, fleetConfig(socketPath(t), f.state+"-idle", 1)))
	if _, err := watchFleet(t, idle.dial(t)).look(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no connection is left", func() bool { return sockets(f.server) <= sockets(idle) })
	grown, at := resident(f.server), resident(idle)
	goroutines := func(s *server) (int, string) {
		s.signal(t, syscall.SIGQUIT)
		s.exit(t)
		text, _ := s.log.state()
		return strings.Count(text, "\ngoroutine "), text
	}
	after, dump := goroutines(f.server)
	fresh, _ := goroutines(idle)
	t.Logf("after the load %d goroutines, %d MiB; an idle usher has %d, %d MiB", after, grown>>20, fresh, at>>20)
	if grown > at+fleetMemory && !raceBinary() {
		t.Errorf("usher has grown to %d bytes, an idle one has %d", grown, at)
	}
	if after > fresh+fleetSize || fresh == 0 {
		t.Errorf("%d goroutines after the load, an idle usher has %d:\n%s", after, fresh, dump)
	}
}

// fleetMemory is what usher may have learned and what its heap has room for, marks and past decisions most of it.
const fleetMemory = 64 << 20

// resident gives the memory of the process, 0 where /proc does not tell.
func resident(s *server) (bytes int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if _, rest, ok := strings.Cut(string(text), "VmRSS:"); ok {
		_, _ = fmt.Sscan(rest, &bytes)
	}
	return bytes << 10
}

// sockets counts what the process has open, 0 where /proc does not tell.
func sockets(s *server) (n int) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.cmd.Process.Pid))
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// verdict judges what all took down.
func (f *fleet) verdict() *verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := judgeLives(f.lives, fleetOwners, f.outages)
	v.checkGrants(fleetLimits)
	return v
}

func (f *fleet) summary(t *testing.T, v *verdict, took time.Duration) {
	t.Helper()
	t.Logf("%d leases granted in %v, to %d incarnations of %d gateways; of %d it is not sure whether the answer came in time, though nobody was late with %d; %d taken up again after a kill of usher",
		v.grants, took.Round(time.Millisecond), len(f.lives), fleetSize, v.unsure, v.blind, v.adopted)
	f.watch.restarts()
	t.Logf("usher at %d looks: at most %d waiting; %d leases adopted, %d of them above the limit; leases ended %v",
		f.watch.looks, f.watch.waiting, f.watch.adopted, f.watch.above, f.watch.ends)
	for _, id := range slices.Sorted(maps.Keys(fleetLimits)) {
		t.Logf("usher on %s: at most %d of %d in use", id, f.watch.most[id], fleetLimits[id])
	}
	for _, way := range []string{"at-once", "in-line", "again"} {
		v.quantiles(t, way)
	}
	for _, what := range slices.Sorted(maps.Keys(f.tally)) {
		t.Logf("%-45s %d", what, f.tally[what])
	}
}

func (f *fleet) check(t *testing.T, v *verdict) {
	t.Helper()
	wrong := slices.Concat(v.wrong, checkHeld(t, v.sure, fleetLimits), f.watch.found(), v.starved())
	for i, text := range wrong {
		if i == 20 {
			t.Errorf("and %d more", len(wrong)-i)
			break
		}
		t.Error(text)
	}
	if names := f.lacks(); names != nil {
		t.Errorf("there was none of %q", names)
	}
	if 10*v.blind > v.grants {
		t.Errorf("of %d grants %d tell nothing, and nobody was late", v.grants, v.blind)
	}
}

// starved tells of tenants and priorities that got nothing.
func (v *verdict) starved() (wrong []string) {
	got := make(map[string]int)
	for _, g := range v.all {
		got[g.tenant]++
		got[fmt.Sprint("priority ", g.priority)]++
	}
	for i := range busyTenants {
		if name := fmt.Sprintf("tenant-%d", i); got[name] == 0 {
			wrong = append(wrong, name+" got nothing")
		}
		if name := fmt.Sprint("priority ", i); got[name] == 0 {
			wrong = append(wrong, name+" got nothing")
		}
	}
	return wrong
}
