package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	maxAttempts    = 3                      // upstream calls for one request at most
	selectDeadline = 250 * time.Millisecond // for each try; an answer takes about a millisecond
	leaseTTL       = 10 * time.Minute       // longer than any request runs: what a crash can leak
)

// Request is what the gateway knows about a request of its caller. ID is unique to it.
type Request struct {
	ID, Tenant, Model, Session, PreviousResponse string
	Patience                                     time.Duration // for waiting, when all is full
}

// Upstream calls an account and returns when the answer is complete. It tells the first token.
type Upstream func(ctx context.Context, account, model string, firstToken func(responseID string)) error

// Errors of an Upstream; any other means that the account failed.
var (
	ErrClient  = errors.New("the request itself is at fault")
	ErrTimeout = errors.New("the upstream did not answer in time")
)

// Unserved says that nothing can serve the request now. Answer the caller 429 or 503 with it.
type Unserved struct {
	Why        string
	RetryAfter time.Duration // 0 when asking again is not expected to help
}

func (u *Unserved) Error() string { return "nothing can serve this now: " + u.Why }

// choice is where an attempt goes. Without usher there is no lease, and nothing to report.
type choice struct{ account, model, lease string }

// Gateway is one process of a gateway. It is safe for concurrent use.
type Gateway struct {
	usher   usherv1.SchedulerServiceClient
	owner   *usherv1.Owner
	local   []string // accounts to use without usher, best first
	reports *Reports
	held    *Held // for the heartbeats of a ReportStream, where there is one

	mu         sync.Mutex
	alternates map[string][]*usherv1.Alternate // guarded by mu: of the last answer for each model
}

// New makes a Gateway. The name is this process's own among living gateways and survives its
// restarts; the incarnation is new at each.
func New(usher usherv1.SchedulerServiceClient, name, incarnation string, local []string) *Gateway {
	return &Gateway{
		usher: usher, owner: &usherv1.Owner{Name: name, Incarnation: incarnation}, local: local,
		reports: &Reports{usher: usher}, held: NewHeld(), alternates: map[string][]*usherv1.Alternate{},
	}
}

// Handle serves one request and returns the account that answered it. It is safe for
// concurrent use; any number may run on one Gateway.
func (g *Gateway) Handle(ctx context.Context, r Request, call Upstream) (string, error) {
	var failed []string                // accounts that failed this request
	var reports []*usherv1.ReportEvent // how the last attempt went, told with the next Select
	var err error                      // of the last attempt
	for attempt := range maxAttempts {
		// Each attempt is a Select of its own, so it has an id of its own.
		id := fmt.Sprintf("%s/%d", r.ID, attempt)
		c, chooseErr := g.choose(ctx, r, id, failed, reports)
		if chooseErr != nil {
			return "", errors.Join(err, chooseErr)
		}
		var finished *usherv1.Finished
		finished, err = g.attempt(ctx, c, call)
		g.held.Remove(c.lease) // its finished goes out next
		reports = nil
		if c.lease != "" {
			reports = []*usherv1.ReportEvent{finishedEvent(c.lease, finished)}
		}
		if finished.Outcome == usherv1.Outcome_OUTCOME_SUCCESS || !othersMayServe(finished.Outcome) {
			g.reports.Send(reports...)
			return c.account, err
		}
		failed = append(failed, c.account)
		if c.lease != "" && attempt < maxAttempts-1 {
			reports = append([]*usherv1.ReportEvent{switchedEvent(c.lease)}, reports...)
		}
	}
	g.reports.Send(reports...)
	return "", err
}

// attempt makes one upstream call and says how it went. The first token is reported at once,
// beside the stream; finished repeats its figures in case that report is lost.
func (g *Gateway) attempt(ctx context.Context, c choice, call Upstream) (*usherv1.Finished, error) {
	end := &usherv1.Finished{}
	told := make(chan struct{})
	close(told)
	began := time.Now()
	err := call(ctx, c.account, c.model, func(responseID string) {
		end.TimeToFirstToken, end.ResponseId = durationpb.New(time.Since(began)), responseID
		if c.lease == "" {
			return
		}
		first := firstTokenEvent(c.lease, end.TimeToFirstToken, responseID)
		told = make(chan struct{})
		go func() { defer close(told); g.reports.Send(first) }()
	})
	<-told
	end.Outcome = outcomeOf(ctx, err)
	return end, err
}

// outcomeOf says who pays: the account, or nobody.
func outcomeOf(ctx context.Context, err error) usherv1.Outcome {
	switch {
	case err == nil:
		return usherv1.Outcome_OUTCOME_SUCCESS
	case errors.Is(ctx.Err(), context.Canceled):
		return usherv1.Outcome_OUTCOME_CANCELLED
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return usherv1.Outcome_OUTCOME_CALLER_TIMEOUT
	case errors.Is(err, ErrClient):
		return usherv1.Outcome_OUTCOME_CLIENT_ERROR
	case errors.Is(err, ErrTimeout):
		return usherv1.Outcome_OUTCOME_UPSTREAM_TIMEOUT
	default:
		return usherv1.Outcome_OUTCOME_ACCOUNT_ERROR
	}
}

// othersMayServe tells that the account was at fault. A gateway that knows its upstream's answer reports
// upstream_status, upstream_code and retry_after with it, and may leave the outcome to usher.
func othersMayServe(o usherv1.Outcome) bool {
	return o == usherv1.Outcome_OUTCOME_ACCOUNT_ERROR || o == usherv1.Outcome_OUTCOME_UPSTREAM_TIMEOUT
}
