package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

const (
	conversations = 14
	callTimeout   = 2 * time.Second
	leaseTTL      = 30 * time.Second
	mostAttempts  = 3
)

// Life is a made-up gateway that calls a real usher.
type Life struct {
	address string
	clock   core.Clock
}

// NewLife makes one for the usher at an address as gRPC dials it.
func NewLife(address string, clock core.Clock) *Life { return &Life{address: address, clock: clock} }

// Run talks until ctx ends, and gives back what it holds.
func (l *Life) Run(ctx context.Context) error {
	conn, err := grpc.NewClient(l.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := usherv1.NewSchedulerServiceClient(conn)
	var all sync.WaitGroup
	for i := range conversations {
		all.Go(func() { newConversation(l.clock, client, i).run(ctx) })
	}
	all.Wait()
	return nil
}

// conversation is a user who asks, reads, and asks again.
type conversation struct {
	clock    core.Clock
	client   usherv1.SchedulerServiceClient
	number   int
	group    string
	model    string
	session  string
	response string
}

func newConversation(clock core.Clock, client usherv1.SchedulerServiceClient, i int) *conversation {
	topics := []struct{ group, model string }{
		{"chat", "gpt-5"}, {"chat", "claude-sonnet"}, {"chat", "gpt-5-nano"}, {"batch", "gpt-5-mini"}, {"batch", "llama-3"},
	}
	topic := topics[i%len(topics)]
	c := &conversation{clock: clock, client: client, number: i, group: topic.group, model: topic.model}
	c.restart()
	return c
}

func (c *conversation) restart() {
	c.session, c.response = fmt.Sprintf("demo-%d-%06x", c.number, rand.Uint32()>>8), ""
}

func (c *conversation) run(ctx context.Context) {
	for c.pause(ctx, between(100*time.Millisecond, 2*time.Second)) {
		if chance(0.08) {
			c.restart()
		}
		c.ask(ctx)
	}
}

// ask makes one request, and tries another account when one fails.
func (c *conversation) ask(ctx context.Context) {
	var failed []string
	var reports []*usherv1.ReportEvent
	for range mostAttempts {
		resp, err := c.selectAccount(ctx, failed, reports)
		reports = nil
		if err != nil {
			return
		}
		s := resp.GetSelection()
		if s == nil {
			if !c.pause(ctx, between(200*time.Millisecond, time.Second)) {
				return
			}
			continue
		}
		if reports = c.call(ctx, s); reports == nil {
			return
		}
		failed = append(failed, s.GetAccountId())
	}
	c.report(reports...)
}

func (c *conversation) selectAccount(ctx context.Context, failed []string, reports []*usherv1.ReportEvent) (*usherv1.SelectResponse, error) {
	// A Select that is given up may leave a slot behind, so it is seen through.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return c.client.Select(ctx, &usherv1.SelectRequest{
		Group: c.group, Model: c.model, SessionHash: c.session, PreviousResponseId: c.response,
		ExcludedAccountIds: failed, Reports: reports, LeaseTtl: durationpb.New(leaseTTL),
		RequestId: fmt.Sprintf("demo-%016x", rand.Uint64()),
	})
}

// call plays the upstream. It gives the events of a failed attempt, to be reported with the next one.
func (c *conversation) call(ctx context.Context, s *usherv1.Selection) []*usherv1.ReportEvent {
	token := s.GetLeaseToken()
	first := between(50*time.Millisecond, 600*time.Millisecond)
	if !c.pause(ctx, first) {
		c.report(&usherv1.ReportEvent{
			Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
			Event:   &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
		})
		return nil
	}
	if chance(0.05) {
		return []*usherv1.ReportEvent{
			{
				Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
				Event:   &usherv1.ReportEvent_Switched{Switched: &usherv1.Switched{}},
			},
			finished(token, usherv1.Outcome_OUTCOME_ACCOUNT_ERROR, ""),
		}
	}
	c.report(&usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_FirstToken{FirstToken: &usherv1.FirstToken{TimeToFirstToken: durationpb.New(first)}},
	})
	outcome := usherv1.Outcome_OUTCOME_SUCCESS
	switch {
	case !c.pause(ctx, between(150*time.Millisecond, 2400*time.Millisecond)), chance(0.03):
		outcome = usherv1.Outcome_OUTCOME_CANCELLED
	case chance(0.3):
		c.response = fmt.Sprintf("resp_%012x", rand.Uint64()>>16)
	}
	c.report(finished(token, outcome, c.response))
	return nil
}

func finished(token string, outcome usherv1.Outcome, response string) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: outcome, ResponseId: response}},
	}
}

// report outlives the traffic's end: a slot is given back in any case.
func (c *conversation) report(events ...*usherv1.ReportEvent) {
	if len(events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	// A lease that is not given back ends by itself.
	_, _ = c.client.Report(ctx, &usherv1.ReportRequest{Events: events})
}

// pause waits; false when ctx ended.
func (c *conversation) pause(ctx context.Context, d time.Duration) bool {
	fired, stop := c.clock.After(d)
	defer stop()
	select {
	case <-fired:
		return true
	case <-ctx.Done():
		return false
	}
}

func between(low, high time.Duration) time.Duration { return low + rand.N(high-low) }

func chance(p float64) bool { return rand.Float64() < p }
