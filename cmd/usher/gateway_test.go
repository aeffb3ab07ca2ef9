package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	usherv1 "usher.internal/gen/usher/v1"
)

// gatewayEnv holds a gatewaySpec; a test binary that has it is that gateway, and runs no test.
const gatewayEnv = "USHER_TEST_GATEWAY"

// gatewaySpec is what a gateway process is told.
type gatewaySpec struct {
	Address     string
	Name        string
	Incarnation string
	Replaces    bool
	Group       string
	Leases      int
}

// gateway holds leases and says so on its stream. It tells what happens on standard output, and obeys words on
// standard input: break cuts the stream, after which it opens another; forget leaves a lease out of its heartbeats.
type gateway struct {
	spec   gatewaySpec
	client usherv1.SchedulerServiceClient

	mu       sync.Mutex
	held     []string
	sequence uint64
	cut      context.CancelFunc
}

func gatewayMain(text string) int {
	g := &gateway{}
	if err := json.Unmarshal([]byte(text), &g.spec); err != nil {
		fmt.Println("failed", err)
		return 1
	}
	conn, err := grpc.NewClient(g.spec.Address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		fmt.Println("failed", err)
		return 1
	}
	g.client = usherv1.NewSchedulerServiceClient(conn)
	go g.obey()
	// It lives until it is killed, or until its parent is gone.
	for first := true; ; first = false {
		ctx, cut := context.WithCancel(context.Background())
		g.mu.Lock()
		g.cut = cut
		g.mu.Unlock()
		err := g.stream(ctx, first)
		cut()
		fmt.Println("broken", err)
	}
}

func (g *gateway) obey() {
	words := bufio.NewScanner(os.Stdin)
	for words.Scan() {
		g.mu.Lock()
		switch words.Text() {
		case "break":
			g.cut()
		case "forget":
			fmt.Println("forgot", g.held[0])
			g.held = g.held[1:]
		}
		g.mu.Unlock()
	}
	os.Exit(0)
}

// stream keeps one stream; the first one takes the leases.
func (g *gateway) stream(ctx context.Context, first bool) error {
	owner := &usherv1.Owner{Name: g.spec.Name, Incarnation: g.spec.Incarnation}
	stream, err := g.client.ReportStream(ctx)
	if err != nil {
		return err
	}
	hello := &usherv1.ClientHello{Owner: owner, ReplacesPrevious: g.spec.Replaces && first}
	if err := stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	fmt.Println("hello")
	if first {
		if err := g.take(ctx, owner); err != nil {
			return err
		}
	}
	go func() {
		_ = g.beats(stream, answer.GetHello().GetHeartbeatInterval().AsDuration()) // told by Recv too
	}()
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		g.hear(m)
	}
}

func (g *gateway) take(ctx context.Context, owner *usherv1.Owner) error {
	for range g.spec.Leases {
		resp, err := g.client.Select(ctx, &usherv1.SelectRequest{Group: g.spec.Group, Owner: owner})
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.held = append(g.held, resp.GetSelection().GetLeaseToken())
		g.mu.Unlock()
	}
	fmt.Println("holds", g.spec.Leases)
	return nil
}

func (g *gateway) beats(stream usherv1.SchedulerService_ReportStreamClient, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		g.mu.Lock()
		g.sequence++
		beat := &usherv1.Heartbeat{Sequence: g.sequence, LeaseTokens: append([]string(nil), g.held...)}
		g.mu.Unlock()
		if err := stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{Heartbeat: beat}}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (g *gateway) hear(m *usherv1.ReportStreamResponse) {
	switch what := m.GetMessage().(type) {
	case *usherv1.ReportStreamResponse_Ack:
		fmt.Println("acked", what.Ack.GetThroughSequence(), what.Ack.GetExceptions())
	case *usherv1.ReportStreamResponse_LeaseLost:
		fmt.Println("lost", what.LeaseLost.GetReason(), what.LeaseLost.GetLeaseToken())
	case *usherv1.ReportStreamResponse_GoingAway:
		fmt.Println("going away", what.GoingAway.GetDescription())
	}
}
