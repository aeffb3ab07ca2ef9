package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	usherv1 "usher.internal/gen/usher/v1"
)

// busyEnv holds a busySpec; a test binary that has it is that gateway, and runs no test.
const busyEnv = "USHER_TEST_BUSY_GATEWAY"

// busySpec is what a gateway of the soak is told.
type busySpec struct {
	Address     string
	Name        string
	Incarnation string
	Replaces    bool
	Workers     int
	Seed        uint64
}

// clockNow is on the clock that all processes of a machine share.
func clockNow() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it has this clock
	return time.Duration(ts.Nano())
}

// bothClocks reads the wall clock and the other one at the same instant: a process that is put aside in between reads again.
func bothClocks() (time.Time, time.Duration) {
	for {
		before, wall, now := clockNow(), time.Now(), clockNow()
		if now-before < grantSlack/5 {
			return wall, now
		}
	}
}

// busyGateway keeps a stream with heartbeats, while its workers select and report. It takes records down on standard output,
// before what it does when it begins something and after it when it was told something, so that what a killed
// one had taken down is true. Told to drain on standard input it gives everything back, and then lives on.
type busyGateway struct {
	spec   busySpec
	client usherv1.SchedulerServiceClient
	// load ends when the gateway drains.
	load   context.Context
	drain  context.CancelFunc
	worked sync.WaitGroup

	// mu guards what follows, and orders records of what is held with heartbeats.
	mu      sync.Mutex
	held    map[string]int // token to number
	numbers int
	pending []uint64 // heartbeats of the stream that are not acked
	tally   map[string]int

	// up is held over a send, so that sequences rise. It guards stream and sequence.
	up       sync.Mutex
	stream   usherv1.SchedulerService_ReportStreamClient
	sequence uint64
}

func busyMain(text string) int {
	g := &busyGateway{held: make(map[string]int), tally: make(map[string]int)}
	if err := json.Unmarshal([]byte(text), &g.spec); err != nil {
		fmt.Println("wrong", err)
		return 1
	}
	conn, err := grpc.NewClient(g.spec.Address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		eager, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		fmt.Println("wrong", err)
		return 1
	}
	g.client = usherv1.NewSchedulerServiceClient(conn)
	g.load, g.drain = context.WithCancel(context.Background())
	go g.obey()
	// It lives until it is killed, or until its parent is gone.
	for number := 1; ; number++ {
		err := g.keepStream(number)
		g.record("broken", number, clockNow())
		g.count("stream broken")
		if err != nil && strings.Contains(err.Error(), "INVALID_ARGUMENT") {
			g.record("wrong", err)
		}
	}
}

// record writes one line, whole: a kill may come at any time.
func (g *busyGateway) record(what string, values ...any) {
	var b strings.Builder
	b.WriteString(what)
	for _, v := range values {
		if d, ok := v.(time.Duration); ok {
			v = int64(d)
		}
		fmt.Fprintf(&b, " %v", v)
	}
	b.WriteByte('\n')
	_, _ = os.Stdout.WriteString(b.String())
}

func (g *busyGateway) obey() {
	words := bufio.NewScanner(os.Stdin)
	for words.Scan() {
		if words.Text() == "drain" {
			g.drain()
			g.worked.Wait()
			g.mu.Lock()
			g.tellTally()
			g.mu.Unlock()
			g.record("drained", len(g.held))
		}
	}
	os.Exit(0)
}

// keepStream keeps one stream for as long as it stands; the first one lets the workers begin.
func (g *busyGateway) keepStream(number int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := g.client.ReportStream(ctx)
	if err != nil {
		return err
	}
	g.up.Lock()
	g.sequence++
	first := g.sequence
	g.up.Unlock()
	replaces := g.spec.Replaces && number == 1
	if replaces {
		g.record("replaces", clockNow())
	}
	g.record("hello", number, first, clockNow())
	hello := &usherv1.ClientHello{Owner: g.owner(), ReplacesPrevious: replaces}
	if err := stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	g.record("ack", number, first, clockNow())
	g.use(stream)
	defer g.use(nil)
	if number == 1 {
		for n := range g.spec.Workers {
			g.worked.Go(newBusyWorker(g, n).work)
		}
	}
	var beats sync.WaitGroup
	defer beats.Wait()
	defer cancel()
	beats.Go(func() { g.beats(stream, number, answer.GetHello().GetHeartbeatInterval().AsDuration()) })
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		g.hear(m, number)
	}
}

func (g *busyGateway) owner() *usherv1.Owner {
	return &usherv1.Owner{Name: g.spec.Name, Incarnation: g.spec.Incarnation}
}

func (g *busyGateway) use(stream usherv1.SchedulerService_ReportStreamClient) {
	g.up.Lock()
	defer g.up.Unlock()
	g.stream = stream
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = nil
}

func (g *busyGateway) beats(stream usherv1.SchedulerService_ReportStreamClient, number int, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for g.beat(stream, number) == nil { // a broken stream is told by Recv too
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return
		}
	}
}

func (g *busyGateway) beat(stream usherv1.SchedulerService_ReportStreamClient, number int) error {
	g.up.Lock()
	defer g.up.Unlock()
	g.sequence++
	g.mu.Lock()
	beat := &usherv1.Heartbeat{Sequence: g.sequence, LeaseTokens: slices.Collect(maps.Keys(g.held))}
	g.pending = append(g.pending, g.sequence)
	g.record("beat", number, g.sequence, clockNow())
	g.tellTally()
	g.mu.Unlock()
	return stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{Heartbeat: beat}})
}

// report sends an event up the stream; false means that there is none.
func (g *busyGateway) report(event *usherv1.ReportEvent) bool {
	g.up.Lock()
	defer g.up.Unlock()
	if g.stream == nil {
		return false
	}
	g.sequence++
	m := &usherv1.SequencedEvent{Sequence: g.sequence, Event: event}
	return g.stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Event{Event: m}}) == nil
}

func (g *busyGateway) hear(m *usherv1.ReportStreamResponse, number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch what := m.GetMessage().(type) {
	case *usherv1.ReportStreamResponse_Ack:
		var acked uint64
		for len(g.pending) > 0 && g.pending[0] <= what.Ack.GetThroughSequence() {
			acked, g.pending = g.pending[0], g.pending[1:]
		}
		for _, e := range what.Ack.GetExceptions() {
			if e.GetNack() != nil {
				g.record("wrong", "nack", e.GetNack())
			}
			if s := e.GetResult().GetStatus(); s == usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID {
				g.record("wrong", s)
			}
		}
		if acked > 0 {
			g.record("ack", number, acked, clockNow())
		}
	case *usherv1.ReportStreamResponse_LeaseLost:
		reason := strings.TrimPrefix(what.LeaseLost.GetReason().String(), "LEASE_END_")
		if n, holds := g.held[what.LeaseLost.GetLeaseToken()]; holds {
			delete(g.held, what.LeaseLost.GetLeaseToken())
			g.record("lost", n, reason, clockNow())
		}
		g.tally["told lost "+reason]++
	case *usherv1.ReportStreamResponse_AccountState:
		g.tally["told account state"]++
	case *usherv1.ReportStreamResponse_GoingAway:
		g.tally["told going away"]++
	}
}

// got takes down that a lease is held: heartbeats list it from now on.
func (g *busyGateway) got(s *usherv1.Selection, line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.numbers++
	g.held[s.GetLeaseToken()] = g.numbers
	wall, now := bothClocks()
	granted := now - wall.Sub(s.GetLeaseExpiresAt().AsTime().Add(-s.GetLeaseTtl().AsDuration()))
	g.record("got", g.numbers, s.GetAccountId(), granted, now, line)
}

// ends takes down that a release is about to be sent.
func (g *busyGateway) ends(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n, holds := g.held[token]; holds {
		delete(g.held, token)
		g.record("end", n, clockNow())
	}
}

func (g *busyGateway) count(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tally[what]++
}

// tellTally takes down what was counted since the last time. mu is held.
func (g *busyGateway) tellTally() {
	for what, n := range g.tally {
		g.record("tally", n, what)
	}
	clear(g.tally)
}
