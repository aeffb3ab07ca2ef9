package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// busyTenants ask unequally: the first one asks half of all, and wants it first.
const busyTenants = 4

// busyWorker is one of a gateway's many goroutines.
type busyWorker struct {
	gateway *busyGateway
	number  int
	tenant  int
	random  *rand.Rand
	asks    int
}

func newBusyWorker(g *busyGateway, number int) *busyWorker {
	w := &busyWorker{gateway: g, number: number, random: rand.New(rand.NewPCG(g.spec.Seed, uint64(number)))}
	if number%2 == 1 {
		w.tenant = 1 + number/2%(busyTenants-1)
	}
	return w
}

func (w *busyWorker) work() {
	for w.gateway.load.Err() == nil {
		if token, ok := w.ask(); ok {
			w.hold(token)
		} else {
			pause(w.gateway.load, w.upTo(30*time.Millisecond))
		}
	}
}

func (w *busyWorker) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d)))
}

func (w *busyWorker) oneIn(n int) bool { return w.random.IntN(n) == 0 }

// pause passes time, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

func (w *busyWorker) request() *usherv1.SelectRequest {
	w.asks++
	req := &usherv1.SelectRequest{
		Group: "soak", Model: "m", Owner: w.gateway.owner(), Tenant: fmt.Sprintf("tenant-%d", w.tenant),
		PriorityClass: usherv1.PriorityClass(w.random.IntN(4)),
	}
	if w.oneIn(3) {
		req.Model = "n"
	}
	if w.oneIn(3) {
		req.SessionHash = fmt.Sprintf("session-%d", w.random.IntN(50))
	}
	if w.oneIn(2) {
		req.RequestId = fmt.Sprintf("%s-%d-%d", w.gateway.spec.Incarnation, w.number, w.asks)
	}
	if !w.oneIn(3) {
		req.Wait = durationpb.New(w.upTo(2 * time.Second))
	}
	return req
}

// ask selects, and tries again what a request id makes safe to try again. Of an answer that did not come it gives back what it can name.
func (w *busyWorker) ask() (token string, ok bool) {
	g, req := w.gateway, w.request()
	limit := soakCallTimeout
	if w.oneIn(8) {
		limit = w.upTo(20 * time.Millisecond)
		g.count("select with little time")
	}
	asked := clockNow()
	for try := range 3 {
		ctx, cancel := context.WithTimeout(g.load, limit)
		g.count("select")
		resp, err := g.client.Select(ctx, req)
		cancel()
		if err == nil {
			return w.answered(req, resp, asked, try)
		}
		w.tolerate("select", err)
		if req.GetRequestId() == "" {
			return "", false
		}
		if limit < soakCallTimeout || g.load.Err() != nil {
			break
		}
		g.count("select again")
	}
	g.count("release by request id")
	w.call(&usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_Request{Request: &usherv1.RequestRef{
			Tenant: req.GetTenant(), OwnerName: req.GetOwner().GetName(), RequestId: req.GetRequestId(),
		}},
		Event: &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
	})
	return "", false
}

func (w *busyWorker) answered(req *usherv1.SelectRequest, resp *usherv1.SelectResponse, asked time.Duration, try int) (string, bool) {
	g := w.gateway
	s := resp.GetSelection()
	switch {
	case s != nil:
		way := "at-once"
		if s.GetLine() != nil {
			way = "in-line"
		}
		if try > 0 || resp.GetDecision().GetRepeated() {
			way = "again"
		}
		g.got(s, fmt.Sprintf("%d %s %s %d", int64(asked), way, req.GetTenant(), req.GetPriorityClass()))
		return s.GetLeaseToken(), true
	case resp.GetWaitPlan() != nil:
		g.count("wait plan")
	default:
		g.count("refused " + resp.GetRefusal().GetReason().String())
	}
	return "", false
}

// hold keeps a lease for a while and then reports it, one way or the other.
func (w *busyWorker) hold(token string) {
	g := w.gateway
	length := w.upTo(30 * time.Millisecond)
	if w.oneIn(100) {
		length = w.upTo(3 * time.Second)
	}
	if w.oneIn(4) {
		pause(g.load, length/2)
		g.report(&usherv1.ReportEvent{
			Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
			Event:   &usherv1.ReportEvent_FirstToken{FirstToken: &usherv1.FirstToken{TimeToFirstToken: durationpb.New(length)}},
		})
		length /= 2
	}
	pause(g.load, length)
	if w.oneIn(400) {
		g.count("forgotten on purpose")
		g.ends(token)
		return
	}
	event := &usherv1.ReportEvent{Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token}}
	if w.oneIn(10) {
		event.Event = &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}}
	} else {
		event.Event = &usherv1.ReportEvent_Finished{Finished: w.finished()}
	}
	g.ends(token)
	if w.oneIn(2) && g.report(event) {
		g.count("released by stream")
		return
	}
	g.count("released by call")
	w.call(event)
}

func (w *busyWorker) finished() *usherv1.Finished {
	switch w.random.IntN(100) {
	case 0:
		return &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_RATE_LIMITED, RetryAfter: durationpb.New(1 + w.upTo(100*time.Millisecond))}
	case 1, 2:
		return &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_ACCOUNT_ERROR}
	case 3, 4, 5:
		return &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_CLIENT_ERROR}
	default:
		return &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}
	}
}

// call reports by an unary call, which outlives the load.
func (w *busyWorker) call(event *usherv1.ReportEvent) {
	ctx, cancel := context.WithTimeout(context.Background(), soakCallTimeout)
	defer cancel()
	resp, err := w.gateway.client.Report(ctx, &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{event}})
	if err != nil {
		w.tolerate("report", err)
		return
	}
	result := resp.GetResults()[0].GetStatus()
	w.gateway.count("call " + result.String())
	if result == usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID {
		w.gateway.record("wrong", "a token of its own was called invalid")
	}
}

// tolerate takes what trouble and cancellation mean, and nothing else.
func (w *busyWorker) tolerate(what string, err error) {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		w.gateway.count(what + " lost")
	default:
		w.gateway.record("wrong", what, err)
	}
}
