package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// RenewCmd extends leases.
type RenewCmd struct {
	Tokens   []string      `arg:"" name:"token" help:"Lease tokens, as select printed them; 1 to 256."`
	LeaseTTL time.Duration `name:"lease-ttl" help:"New lifetime from now, 1s to 24h; unset means the server's." placeholder:"DURATION"`

	Client
}

// Help is shown by --help.
func (RenewCmd) Help() string {
	return `Exit codes: 0 all live on; 1 at least one does not, or no answer.

Example:

    usher renew $TOKEN --lease-ttl 10m`
}

// Run renews and prints when each lease ends now.
func (c *RenewCmd) Run(ctx context.Context, std IO) error {
	req := &usherv1.RenewRequest{LeaseTokens: c.Tokens}
	if c.LeaseTTL != 0 {
		req.LeaseTtl = durationpb.New(c.LeaseTTL)
	}
	var resp *usherv1.RenewResponse
	err := c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = usherv1.NewSchedulerServiceClient(conn).Renew(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		err = writeJSON(std, resp, false)
	} else {
		_, err = fmt.Fprint(std.Out, renderRenew(c.Tokens, resp, std.Now()))
	}
	if err != nil {
		return err
	}
	for _, r := range resp.GetResults() {
		if r.GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			return &StatusError{Code: exitFailed}
		}
	}
	return nil
}

func renderRenew(tokens []string, resp *usherv1.RenewResponse, now time.Time) string {
	g := newGrid([]string{"#", "LEASE", "STATUS", "ENDS"}, "#")
	for i, r := range resp.GetResults() {
		token, status, ends := "", strings.SplitN(statusText(r.GetStatus()), ":", 2)[0], "–"
		if i < len(tokens) {
			token = clipped(clean(tokens[i]), 24)
		}
		if r.GetStatus() == usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			status, ends = "renewed", clock(r.GetExpiresAt(), now)
		}
		g.row(strconv.Itoa(i+1), token, status, ends)
	}
	return g.String()
}
