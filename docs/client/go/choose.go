package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// choose asks usher for an account until it has one, the answer is no, or patience is over.
// When usher is away it chooses by itself.
func (g *Gateway) choose(ctx context.Context, r Request, id string, failed []string, reports []*usherv1.ReportEvent) (choice, error) {
	req := &usherv1.SelectRequest{
		RequestId: id, Owner: g.owner, Tenant: r.Tenant,
		Model: r.Model, SessionHash: r.Session, PreviousResponseId: r.PreviousResponse,
		ExcludedAccountIds: failed, Reports: reports,
		Alternates: 3, LeaseTtl: durationpb.New(leaseTTL),
	}
	giveUp := time.Now().Add(r.Patience)
	pause := 25 * time.Millisecond
	for {
		resp, err := g.ask(ctx, req)
		if err != nil && !away(err) && ctx.Err() == nil {
			g.reports.Send(req.Reports...) // the Select was refused: nothing was taken
			return choice{}, err
		}
		if err != nil {
			// Perhaps a lease was granted and its answer lost: it is given back by its request_id
			// as soon as usher can be reached. What was to be reported is kept as well.
			g.reports.Keep(append(req.Reports, releasedByRequest(req))...)
			if ctx.Err() != nil {
				g.reports.Send()
				return choice{}, err
			}
			return g.fallback(r, failed)
		}
		req.Reports = nil // applied, whatever the answer is
		var why *Unserved
		switch answer := resp.Result.(type) {
		case *usherv1.SelectResponse_Selection:
			s := answer.Selection
			if ctx.Err() != nil { // the caller left in the meantime: nothing goes upstream
				g.reports.Send(releasedUnused(s.LeaseToken))
				return choice{}, ctx.Err()
			}
			g.held.Add(s.LeaseToken)
			g.remember(r.Model, s.Alternates)
			return choice{s.AccountId, s.UpstreamModel, s.LeaseToken}, nil
		case *usherv1.SelectResponse_WaitPlan:
			// A plan holds nothing: ask again with the same id, at growing intervals.
			pause = min(2*pause, time.Second)
			why = &Unserved{"full; the first place is on " + answer.WaitPlan.AccountId, pause}
		case *usherv1.SelectResponse_Refusal:
			pause = answer.Refusal.RetryAfter.AsDuration() // 0 when unset
			why = &Unserved{answer.Refusal.Reason.String(), pause}
		default:
			return choice{}, fmt.Errorf("usher gave an answer that this client does not know: %v", resp)
		}
		if pause == 0 || time.Now().Add(pause).After(giveUp) {
			return choice{}, why
		}
		select {
		case <-ctx.Done():
			return choice{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// ask is Select with a deadline and one more try. The same request_id makes that safe: when the
// first answer was lost on its way, the second try finds the lease that it granted.
func (g *Gateway) ask(ctx context.Context, req *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
	for try := 1; ; try++ {
		once, cancel := context.WithTimeout(ctx, selectDeadline)
		resp, err := g.usher.Select(once, req)
		cancel()
		if !away(err) || try == 2 || ctx.Err() != nil {
			return resp, err
		}
	}
}

// away says that no usher answers, or that it is of no help: go on without it.
func away(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown:
		return true
	default:
		return false
	}
}

// fallback chooses without usher: the alternates of the last answer for this model first, then
// the gateway's own list, without accounts that usher warned of. Nothing is held, so there is nothing to report.
func (g *Gateway) fallback(r Request, failed []string) (choice, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.alternates[r.Model] {
		if !slices.Contains(failed, a.AccountId) && !g.held.Avoid(a.AccountId) {
			return choice{account: a.AccountId, model: a.UpstreamModel}, nil
		}
	}
	for _, account := range g.local {
		if !slices.Contains(failed, account) && !g.held.Avoid(account) {
			return choice{account: account, model: r.Model}, nil
		}
	}
	return choice{}, &Unserved{Why: "usher is away and no account is left"}
}

func (g *Gateway) remember(model string, alternates []*usherv1.Alternate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(alternates) > 0 {
		g.alternates[model] = alternates
	}
}
