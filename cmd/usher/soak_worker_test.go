package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	soakTTL         = time.Second
	soakCallTimeout = 5 * time.Second
	reportAgain     = 50 * time.Millisecond
)

// lease is what a client knows of a lease.
type lease struct {
	token   string
	account string
	asked   time.Duration // when its Select was sent first
	got     time.Duration // when its answer was there
}

// worker is one client. Only its own goroutine uses it.
type worker struct {
	number int
	client usherv1.SchedulerServiceClient
	since  time.Time
	random *rand.Rand

	live, dead []lease // dead ones are released or forgotten
	held       []held
	counts     map[string]int
	wrong      []string
	requests   int
	took       []timing // of Selects in turn
	// ttl is the life of leases taken in turn; their reports are sent until one is answered. 0 is soakTTL, and a report is sent once.
	ttl time.Duration
}

// timing is when a call began, and how long it took.
type timing struct{ at, took time.Duration }

func (w *worker) now() time.Duration { return time.Since(w.since) }

func (w *worker) fail(format string, args ...any) {
	if len(w.wrong) < 5 {
		w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
	}
}

// step is one operation.
func (w *worker) step(ctx context.Context) {
	roll := w.random.IntN(100)
	switch {
	case len(w.live) < 3 && roll < 40 || len(w.live) == 0:
		w.ask(ctx, roll)
	case roll < 75:
		w.release(ctx)
	case roll < 82:
		w.progress(ctx)
	case roll < 91 && len(w.dead) > 0:
		w.duplicate(ctx)
	case roll < 92:
		w.forget()
	default:
		w.late(ctx)
	}
}

// ask selects: with a request id that is retried after a lost answer, cancelled midway, or plainly.
func (w *worker) ask(ctx context.Context, roll int) {
	req := &usherv1.SelectRequest{
		Group: "soak", Model: "m", LeaseTtl: durationpb.New(soakTTL),
		Owner: &usherv1.Owner{Name: fmt.Sprintf("soak-%d", w.number), Incarnation: "1"},
	}
	if roll%3 == 0 {
		req.SessionHash = fmt.Sprintf("session-%d", w.random.IntN(200))
	}
	if roll%2 == 0 {
		w.requests++
		req.RequestId = fmt.Sprintf("r-%d", w.requests)
	}
	asked := w.now()
	if roll%10 == 1 {
		w.cancelled(ctx, req)
		return
	}
	resp, err := w.call(ctx, req)
	for attempt := 0; err != nil && req.RequestId != "" && attempt < 3 && ctx.Err() == nil; attempt++ {
		w.counts["retry"]++
		resp, err = w.call(ctx, req)
	}
	if err != nil {
		w.tolerate("select", err)
		return
	}
	s := resp.GetSelection()
	if s == nil {
		w.counts["full"]++
		return
	}
	w.counts["selected"]++
	w.live = append(w.live, lease{token: s.GetLeaseToken(), account: s.GetAccountId(), asked: asked, got: w.now()})
}

func (w *worker) call(ctx context.Context, req *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, soakCallTimeout)
	defer cancel()
	w.counts["select"]++
	return w.client.Select(ctx, req)
}

// cancelled gives up a Select at a random moment, and then releases it by its request id or leaves it to its end.
func (w *worker) cancelled(ctx context.Context, req *usherv1.SelectRequest) {
	w.requests++
	req.RequestId = fmt.Sprintf("c-%d", w.requests)
	short, cancel := context.WithTimeout(ctx, time.Duration(w.random.IntN(2_000))*time.Microsecond)
	_, err := w.client.Select(short, req)
	cancel()
	w.counts["cancel"]++
	if err != nil {
		w.tolerate("cancel", err)
	}
	if w.random.IntN(10) == 0 {
		return
	}
	ref := &usherv1.RequestRef{Tenant: req.GetTenant(), OwnerName: req.GetOwner().GetName(), RequestId: req.GetRequestId()}
	result := w.report(ctx, &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_Request{Request: ref},
		Event:   &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
	})
	if result == nil {
		return
	}
	resp, err := w.call(ctx, req)
	switch {
	case err == nil && resp.GetSelection() != nil:
		w.fail("request %s was released and selected again", req.GetRequestId())
	case err != nil && status.Code(err) != codes.FailedPrecondition:
		w.tolerate("select after its release", err)
	}
}

// pick takes a random lease out of the list.
func (w *worker) pick(list *[]lease) lease {
	i := w.random.IntN(len(*list))
	l := (*list)[i]
	(*list)[i] = (*list)[len(*list)-1]
	*list = (*list)[:len(*list)-1]
	return l
}

func (w *worker) life() time.Duration { return cmp.Or(w.ttl, soakTTL) }

// end says that from now on the lease may be over.
func (w *worker) end(l lease) {
	w.held = append(w.held, held{account: l.account, from: l.got, until: min(w.now(), l.asked+w.life())})
	if len(w.dead) < 64 {
		w.dead = append(w.dead, l)
	} else {
		w.dead[w.random.IntN(len(w.dead))] = l
	}
}

func (w *worker) release(ctx context.Context) {
	l := w.pick(&w.live)
	w.end(l)
	w.counts["release"]++
	event := finished(l)
	if w.random.IntN(4) == 0 {
		event = &usherv1.ReportEvent{
			Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: l.token},
			Event:   &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
		}
	}
	for w.report(ctx, event) == nil && w.ttl > 0 && ctx.Err() == nil {
		pause(ctx, reportAgain)
	}
}

func finished(l lease) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: l.token},
		Event:   &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}},
	}
}

func (w *worker) progress(ctx context.Context) {
	l := w.live[w.random.IntN(len(w.live))]
	w.counts["first token"]++
	w.report(ctx, &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: l.token},
		Event:   &usherv1.ReportEvent_FirstToken{FirstToken: &usherv1.FirstToken{TimeToFirstToken: durationpb.New(time.Millisecond)}},
	})
}

// duplicate reports twice what is over already or may be: at most one of the two can count.
func (w *worker) duplicate(ctx context.Context) {
	l := w.dead[w.random.IntN(len(w.dead))]
	w.counts["duplicate"]++
	first := w.report(ctx, finished(l))
	second := w.report(ctx, finished(l))
	if first != nil && second.GetStatus() == usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		w.fail("a finish counted again: first %v, then %v", first.GetStatus(), second.GetStatus())
	}
}

func (w *worker) forget() {
	w.counts["forget"]++
	w.end(w.pick(&w.live))
}

// late reports a lease that must have expired by now, if there is one.
func (w *worker) late(ctx context.Context) {
	for _, l := range w.dead {
		if w.now() <= l.got+soakTTL {
			continue
		}
		w.counts["late"]++
		if result := w.report(ctx, finished(l)); result.GetStatus() == usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			w.fail("a lease of %v was released as live %v after it was granted", soakTTL, w.now()-l.got)
		}
		return
	}
}

// report gives nil when the answer was lost.
func (w *worker) report(ctx context.Context, event *usherv1.ReportEvent) *usherv1.ReportResult {
	ctx, cancel := context.WithTimeout(ctx, soakCallTimeout)
	defer cancel()
	w.counts["report"]++
	resp, err := w.client.Report(ctx, &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{event}})
	if err != nil {
		w.tolerate("report", err)
		return nil
	}
	result := resp.GetResults()[0]
	w.counts["report: "+result.GetStatus().String()]++
	if result.GetStatus() == usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID {
		w.fail("a token of its own was called invalid")
	}
	return result
}

// tolerate takes what a cut connection or a cancellation means, and nothing else.
func (w *worker) tolerate(what string, err error) {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		w.counts["lost"]++
	default:
		w.fail("%s: %v", what, err)
	}
}
