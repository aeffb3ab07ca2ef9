package cli

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
)

// ExplainCmd shows past decisions.
type ExplainCmd struct {
	Decision string `arg:"" optional:"" help:"Id of the decision, as select or explain --list printed it."`

	List    bool   `help:"List recent decisions, newest first."`
	Group   string `help:"With --list: only decisions for this group." placeholder:"NAME"`
	Account string `help:"With --list: only decisions that chose, or plan to wait for, this account." placeholder:"ID"`
	Layer   string `help:"With --list: only decisions of this layer: previous_response_id, session_hash or load_balance." placeholder:"LAYER"`
	Outcome string `help:"With --list: only decisions of this outcome: selected, wait_plan, refused or failed." placeholder:"OUTCOME"`
	Limit   uint32 `help:"With --list: at most so many, 1 to 1000; ${default} unless set." default:"20" placeholder:"N"`

	Client
}

const maxDecisions = 1000

// Help is shown by --help.
func (ExplainCmd) Help() string {
	return `An usher keeps its most recent decisions, each on the replica that made it. For a question about now, use
select --dry-run --explain. With --list -o json, each line is one decision.

Examples:

    usher explain --list --outcome refused
    usher explain d-4f1d`
}

// Run shows one decision, or lists recent ones.
func (c *ExplainCmd) Run(ctx context.Context, std IO) error {
	switch {
	case c.List && c.Decision != "":
		return usagef("give a decision's id or --list, not both")
	case c.List:
		return c.list(ctx, std)
	case c.Decision == "":
		return usagef("give a decision's id, or --list to see recent ones")
	}
	var resp *usherv1.ExplainResponse
	err := c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = usherv1.NewMetricsServiceClient(conn).Explain(ctx, &usherv1.ExplainRequest{DecisionId: c.Decision})
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		return writeJSON(std, resp, false)
	}
	width, _, _ := std.size()
	_, err = fmt.Fprint(std.Out, renderExplain(resp, std.Now(), width))
	return err
}

func (c *ExplainCmd) list(ctx context.Context, std IO) error {
	if c.Limit < 1 || c.Limit > maxDecisions {
		return usagef("--limit is %d: give 1 to %d", c.Limit, maxDecisions)
	}
	layer, err := valueOf(usherv1.Layer(0).Descriptor(), c.Layer)
	if err != nil {
		return usagef("--layer: %v", err)
	}
	outcome, err := valueOf(usherv1.DecisionOutcome(0).Descriptor(), c.Outcome)
	if err != nil {
		return usagef("--outcome: %v", err)
	}
	req := &usherv1.ListDecisionsRequest{
		Group:     c.Group,
		AccountId: c.Account,
		Layer:     usherv1.Layer(layer),
		Outcome:   usherv1.DecisionOutcome(outcome),
		Limit:     c.Limit,
	}
	var resp *usherv1.ListDecisionsResponse
	err = c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = usherv1.NewMetricsServiceClient(conn).ListDecisions(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if !c.json() {
		_, err = fmt.Fprint(std.Out, renderDecisions(resp, std.Now()))
		return err
	}
	for _, d := range resp.GetDecisions() {
		if err := writeJSON(std, d, true); err != nil {
			return err
		}
	}
	return nil
}
