package cli

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// SelectCmd asks for an account.
type SelectCmd struct {
	Group            string        `help:"Pool to choose from; blank means all accounts." placeholder:"NAME"`
	Session          string        `help:"Hash of the conversation: it stays on one account." placeholder:"HASH"`
	PreviousResponse string        `help:"Id of the response that this request continues." placeholder:"ID"`
	Model            string        `help:"Model as the caller names it; blank means any." placeholder:"NAME"`
	Transport        string        `help:"What the account must be able to do: http_sse, responses_websockets or responses_websockets_v2." placeholder:"NAME"`
	Provider         string        `help:"Provider that the account must belong to." placeholder:"NAME"`
	Exclude          []string      `help:"Accounts that must not be chosen, separated by commas or given again." placeholder:"ID"`
	Owner            string        `help:"Name of the calling gateway; the lease belongs to it." placeholder:"NAME"`
	Incarnation      string        `help:"This start of the owner, needed with --owner." placeholder:"ID"`
	Tenant           string        `help:"Tenant that scopes bindings and request ids." placeholder:"NAME"`
	LeaseTTL         time.Duration `name:"lease-ttl" help:"Lifetime of the lease without renewal, 1s to 24h; unset means the server's." placeholder:"DURATION"`
	RequestID        string        `name:"request-id" help:"Name of this request: asking again with it finds the same lease." placeholder:"ID"`
	Wait             time.Duration `help:"How long to stand in line when all is full, at most 1h; --timeout must be longer." placeholder:"DURATION"`
	Priority         string        `help:"Place in line among one tenant's waiters: low, normal or high." placeholder:"CLASS"`
	DryRun           bool          `help:"Decide, but take and bind nothing."`
	Explain          bool          `help:"Show what was thought of every account."`
	Alternates       uint32        `help:"How many next choices to name, 0 to 16." placeholder:"N"`

	Client
}

// Help is shown by --help.
func (SelectCmd) Help() string {
	return `The answer is an account with a lease on one of its slots, a wait plan (all that may serve is full), or a refusal
(nothing may serve). A lease holds its slot until you report that the request finished, or until it expires.

Exit codes: 0 an account, 3 a wait plan, 4 a refusal, 1 no answer, 2 a mistake on the command line.

Examples:

    usher select --model gpt-5 --session 4f1d
    usher select --group chat --dry-run --explain
    usher select --model gpt-5 -o json | jq -r .selection.lease_token`
}

// Run asks, prints the answer, and ends with its exit code.
func (c *SelectCmd) Run(ctx context.Context, std IO) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	var resp *usherv1.SelectResponse
	err = c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = usherv1.NewSchedulerServiceClient(conn).Select(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		err = writeJSON(std, resp, false)
	} else {
		width, _, _ := std.size()
		_, err = fmt.Fprint(std.Out, renderSelect(req, resp, std.Now(), width))
	}
	if err != nil {
		return err
	}
	switch resp.GetResult().(type) {
	case *usherv1.SelectResponse_WaitPlan:
		return &StatusError{Code: exitWaitPlan}
	case *usherv1.SelectResponse_Refusal:
		return &StatusError{Code: exitRefusal}
	default:
		return nil
	}
}

func (c *SelectCmd) request() (*usherv1.SelectRequest, error) {
	transport, err := valueOf(usherv1.Transport(0).Descriptor(), c.Transport)
	if err != nil {
		return nil, usagef("--transport: %v", err)
	}
	priority, err := valueOf(usherv1.PriorityClass(0).Descriptor(), c.Priority)
	if err != nil {
		return nil, usagef("--priority: %v", err)
	}
	req := &usherv1.SelectRequest{
		PriorityClass:      usherv1.PriorityClass(priority),
		Group:              c.Group,
		SessionHash:        c.Session,
		PreviousResponseId: c.PreviousResponse,
		Model:              c.Model,
		RequiredTransport:  usherv1.Transport(transport),
		Provider:           c.Provider,
		ExcludedAccountIds: c.Exclude,
		Tenant:             c.Tenant,
		RequestId:          c.RequestID,
		DryRun:             c.DryRun,
		Explain:            c.Explain,
		Alternates:         c.Alternates,
	}
	if c.Owner != "" || c.Incarnation != "" {
		req.Owner = &usherv1.Owner{Name: c.Owner, Incarnation: c.Incarnation}
	}
	if c.Wait != 0 {
		req.Wait = durationpb.New(c.Wait)
	}
	if c.LeaseTTL != 0 {
		req.LeaseTtl = durationpb.New(c.LeaseTTL)
	}
	return req, nil
}
