package cli

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "usher.internal/gen/usher/v1"
)

// ReportCmd tells what happened to a leased request.
type ReportCmd struct {
	Lease     string `help:"Lease token, as select printed it." placeholder:"TOKEN" xor:"subject"`
	RequestID string `name:"request-id" help:"Name of the request, instead of its lease; only with --unused." placeholder:"ID" xor:"subject"`
	Tenant    string `help:"Tenant of the request that --request-id names." placeholder:"NAME"`
	Owner     string `help:"Owner of the request that --request-id names." placeholder:"NAME"`

	FirstToken     time.Duration `help:"The first token came, this long after the request was sent upstream; such as 420ms." placeholder:"DURATION"`
	ResponseID     string        `name:"response-id" help:"Id of the response: a request that continues it goes to the same account. With --first-token or an end." placeholder:"ID"`
	Switched       bool          `help:"The request moved to another account. Keeps the slot."`
	Finished       string        `help:"The request ended so: success, account_error, rate_limited, quota_exhausted, auth_failed, overloaded, upstream_timeout, client_error, cancelled or caller_timeout. Gives the slot back." placeholder:"OUTCOME" xor:"end"`
	UpstreamStatus int32         `help:"The request ended, and the upstream's HTTP status was this one; tells the outcome when --finished does not. Gives the slot back." placeholder:"STATUS"`
	UpstreamCode   string        `help:"The same with the upstream's error code or type." placeholder:"CODE"`
	RetryAfter     time.Duration `help:"How long the upstream asks to stay away; such as 60s. With an end." placeholder:"DURATION"`
	ResetAt        *time.Time    `help:"When the upstream's limit ends, as RFC 3339; such as 2030-01-31T18:00:00Z. With an end." placeholder:"TIME"`
	Scope          string        `help:"What the upstream's limit covers: account, or model, which is the lease's own. With an end." placeholder:"SCOPE"`
	Unused         bool          `help:"The lease was not used. Gives the slot back." xor:"end"`

	Client
}

// Help is shown by --help.
func (ReportCmd) Help() string {
	return `Name the lease, and what happened; several flags are sent as several events, in the order first token, switched,
finished or unused. Sending one again changes nothing. What the upstream said tells the outcome by the table that
usher outcomes prints, unless --finished names one.

Exit codes: 0 everything counted, now or before; 1 something did not, or no answer.

Examples:

    usher report --lease $TOKEN --first-token 420ms --response-id resp_1
    usher report --lease $TOKEN --finished success
    usher report --lease $TOKEN --upstream-status 429 --retry-after 60s --scope model
    usher report --lease $TOKEN --unused
    usher report --request-id req-7 --owner gw-1 --unused`
}

// Run sends the events and prints what became of each.
func (c *ReportCmd) Run(ctx context.Context, std IO) error {
	events, names, err := c.events()
	if err != nil {
		return err
	}
	var resp *usherv1.ReportResponse
	err = c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = usherv1.NewSchedulerServiceClient(conn).Report(ctx, &usherv1.ReportRequest{Events: events})
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		err = writeJSON(std, resp, false)
	} else {
		_, err = fmt.Fprint(std.Out, renderReport(names, resp))
	}
	if err != nil {
		return err
	}
	for _, r := range resp.GetResults() {
		if !counted(r.GetStatus()) {
			return &StatusError{Code: exitFailed}
		}
	}
	return nil
}

func counted(s usherv1.ReportStatus) bool {
	return s != usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID && s != usherv1.ReportStatus_REPORT_STATUS_LEASE_UNKNOWN
}

func (c *ReportCmd) events() (events []*usherv1.ReportEvent, names []string, err error) {
	end, err := c.end()
	switch {
	case err != nil:
		return nil, nil, err
	case end != nil && c.Unused:
		return nil, nil, usagef("--unused does not go with what an upstream said")
	case c.Lease == "" && c.RequestID == "":
		return nil, nil, usagef("name the lease with --lease, or the request with --request-id")
	case c.Lease == "" && !c.Unused:
		return nil, nil, usagef("--request-id goes with --unused only: what else happened needs the lease")
	}
	add := func(name string, e *usherv1.ReportEvent) {
		if c.Lease != "" {
			e.Subject = &usherv1.ReportEvent_LeaseToken{LeaseToken: c.Lease}
		} else {
			e.Subject = &usherv1.ReportEvent_Request{Request: &usherv1.RequestRef{Tenant: c.Tenant, OwnerName: c.Owner, RequestId: c.RequestID}}
		}
		events, names = append(events, e), append(names, name)
	}
	if c.FirstToken != 0 || c.ResponseID != "" && end == nil {
		first := &usherv1.FirstToken{ResponseId: c.ResponseID}
		if c.FirstToken != 0 {
			first.TimeToFirstToken = durationpb.New(c.FirstToken)
		}
		add("first token", &usherv1.ReportEvent{Event: &usherv1.ReportEvent_FirstToken{FirstToken: first}})
	}
	if c.Switched {
		add("switched", &usherv1.ReportEvent{Event: &usherv1.ReportEvent_Switched{Switched: &usherv1.Switched{}}})
	}
	if end != nil {
		add("finished", &usherv1.ReportEvent{Event: &usherv1.ReportEvent_Finished{Finished: end}})
	}
	if c.Unused {
		add("unused", &usherv1.ReportEvent{Event: &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}}})
	}
	if len(events) == 0 {
		return nil, nil, usagef("say what happened: --first-token, --response-id, --switched, --finished, --upstream-status, --upstream-code or --unused")
	}
	return events, names, nil
}

// end is how the request ended; nil when no flag says that it did.
func (c *ReportCmd) end() (*usherv1.Finished, error) {
	outcome, err := valueOf(usherv1.Outcome(0).Descriptor(), c.Finished)
	if err != nil {
		return nil, usagef("--finished: %v", err)
	}
	scope, err := valueOf(usherv1.LimitScope(0).Descriptor(), c.Scope)
	if err != nil {
		return nil, usagef("--scope: %v", err)
	}
	if outcome == 0 && c.UpstreamStatus == 0 && c.UpstreamCode == "" {
		if c.RetryAfter != 0 || c.ResetAt != nil || scope != 0 {
			return nil, usagef("--retry-after, --reset-at and --scope need --finished, --upstream-status or --upstream-code")
		}
		return nil, nil
	}
	end := &usherv1.Finished{
		Outcome: usherv1.Outcome(outcome), ResponseId: c.ResponseID,
		UpstreamCode: c.UpstreamCode, LimitScope: usherv1.LimitScope(scope),
	}
	if c.UpstreamStatus != 0 {
		end.UpstreamStatus = &c.UpstreamStatus
	}
	if c.RetryAfter != 0 {
		end.RetryAfter = durationpb.New(c.RetryAfter)
	}
	if c.ResetAt != nil {
		end.ResetAt = timestamppb.New(*c.ResetAt)
	}
	return end, nil
}

func renderReport(names []string, resp *usherv1.ReportResponse) string {
	g := newGrid([]string{"EVENT", "ACCOUNT", "STATUS"})
	for i, r := range resp.GetResults() {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		status := statusText(r.GetStatus())
		if r.GetResponseBound() {
			status += "; the response is bound to this account"
		}
		g.row(name, clean(r.GetAccountId()), status)
	}
	text := g.String()
	if resp.GetDegraded() {
		text += "the store is out of reach: this counts on this replica only\n"
	}
	return text
}

func statusText(s usherv1.ReportStatus) string {
	switch s {
	case usherv1.ReportStatus_REPORT_STATUS_ALREADY_APPLIED:
		return "already applied: it counted before, nothing changed"
	case usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED:
		return "already released: the slot was given back before, nothing changed"
	case usherv1.ReportStatus_REPORT_STATUS_LEASE_EXPIRED:
		return "lease expired: nothing was freed, the report counted"
	case usherv1.ReportStatus_REPORT_STATUS_LEASE_UNKNOWN:
		return "lease unknown: too old to tell, nothing changed"
	case usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID:
		return "token invalid: not of this usher, or altered or cut; nothing changed"
	case usherv1.ReportStatus_REPORT_STATUS_RELEASE_RECORDED:
		return "release recorded: no such request is known, it will take nothing"
	default:
		return word(s)
	}
}
