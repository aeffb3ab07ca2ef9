package loadgen

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// Work is what a pair asks for.
type Work struct {
	Group string
	Model string
	// Sessions is the number of conversations; 0 means that no request has one.
	Sessions int
	// StickyShare of the requests belong to a conversation, 0 to 1.
	StickyShare float64
	// Hold is the time between Select and Report.
	Hold time.Duration
	// Wait is how long a Select may stand in line; 0 is not at all.
	Wait time.Duration
	// Timeout of each call.
	Timeout time.Duration
	// SelectOnly leaves the Report out: a pair is one call.
	SelectOnly bool
	// Owner of the leases; unset for none.
	Owner *usherv1.Owner
	Seed  uint64
	// Clock for latencies and holding; Timers, since a precise one takes a thread for each that sleeps.
	Clock Clock
}

// minLease bounds what a run that is killed leaves behind.
const minLease = 30 * time.Second

// Request is the Select of a pair, but for its session.
func (w Work) Request() *usherv1.SelectRequest {
	r := &usherv1.SelectRequest{
		Group:    w.Group,
		Model:    w.Model,
		Owner:    w.Owner,
		LeaseTtl: durationpb.New(minLease + 2*w.Hold),
	}
	if w.Wait > 0 {
		r.Wait = durationpb.New(w.Wait)
	}
	return r
}

// Session is the hash of the n-th conversation.
func Session(n int) string { return "load-session-" + strconv.Itoa(n) }

// Finished is the report of a pair.
func Finished(token string) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}},
	}
}

// Unary is a driver that reports with one call for each pair. Callers are
// spread over the connections.
type Unary struct {
	Work  Work
	Conns []*grpc.ClientConn
}

// Caller makes the i-th.
func (u *Unary) Caller(i int) Caller {
	return newPairs(u.Work, u.Conns[i%len(u.Conns)], i)
}

// Drain has nothing to wait for.
func (u *Unary) Drain(context.Context) (*Record, error) { return nil, nil }

type pairs struct {
	work   Work
	client usherv1.SchedulerServiceClient
	random *rand.Rand
	req    *usherv1.SelectRequest
	// selected hears of each lease; nil when nobody needs to.
	selected func(token string)
	// report sends what ends a pair; the time of its Select comes with it.
	report func(ctx context.Context, token string, selected time.Duration, r *Record)
}

func newPairs(w Work, conn *grpc.ClientConn, i int) *pairs {
	p := &pairs{
		work:   w,
		client: usherv1.NewSchedulerServiceClient(conn),
		random: rand.New(rand.NewPCG(w.Seed, uint64(i))),
		req:    w.Request(),
	}
	p.report = p.reportUnary
	return p
}

func (p *pairs) Pair(ctx context.Context, intended time.Time, r *Record) {
	// Cancelled halfway, a pair would leave its lease behind.
	ctx = context.WithoutCancel(ctx)
	p.req.SessionHash = p.session()
	call, cancel := context.WithTimeout(ctx, p.work.Timeout)
	resp, err := p.client.Select(call, p.req)
	cancel()
	took := p.work.Clock.Now().Sub(intended)
	if err != nil {
		r.Errors["select "+status.Code(err).String()]++
		return
	}
	r.Select.add(took)
	switch resp.GetResult().(type) {
	case *usherv1.SelectResponse_WaitPlan:
		r.Plans++
		return
	case *usherv1.SelectResponse_Refusal:
		r.Refusals++
		return
	}
	token := resp.GetSelection().GetLeaseToken()
	if p.selected != nil {
		p.selected(token)
	}
	if p.work.SelectOnly {
		r.Pairs++
		r.Pair.add(took)
		return
	}
	if p.work.Hold > 0 {
		_ = p.work.Clock.SleepUntil(ctx, p.work.Clock.Now().Add(p.work.Hold))
	}
	p.report(ctx, token, took, r)
}

func (p *pairs) session() string {
	if p.work.Sessions <= 0 || p.work.StickyShare < 1 && p.random.Float64() >= p.work.StickyShare {
		return ""
	}
	return Session(p.random.IntN(p.work.Sessions))
}

func (p *pairs) reportUnary(ctx context.Context, token string, selected time.Duration, r *Record) {
	ctx, cancel := context.WithTimeout(ctx, p.work.Timeout)
	defer cancel()
	start := p.work.Clock.Now()
	resp, err := p.client.Report(ctx, &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{Finished(token)}})
	took := p.work.Clock.Now().Sub(start)
	if err != nil {
		r.Errors["report "+status.Code(err).String()]++
		return
	}
	r.Report.add(took)
	r.Pair.add(selected + took)
	r.Pairs++
	for _, result := range resp.GetResults() {
		if result.GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			r.Unapplied++
		}
	}
}
