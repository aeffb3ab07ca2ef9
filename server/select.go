package server

import (
	"context"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// schedulerService is SchedulerService. Validation has passed before its methods run.
type schedulerService struct {
	usherv1.UnimplementedSchedulerServiceServer
	server *Server
}

// Select asks core for an account.
func (s *schedulerService) Select(ctx context.Context, m *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
	answer, err := s.server.opts.Scheduler.Select(ctx, requestFrom(m))
	if err != nil {
		return nil, s.server.statusError(ctx, err)
	}
	response := responseTo(answer)
	if ctx.Err() != nil {
		s.giveBack(ctx, answer)
		return nil, s.server.statusError(ctx, ctx.Err())
	}
	return response, nil
}

// giveBack takes back a lease whose answer nobody waits for.
func (s *schedulerService) giveBack(ctx context.Context, a *core.Answer) {
	if a.Selection == nil || a.Selection.Token == "" {
		return
	}
	// On an error the lease's own end frees it.
	if err := s.server.opts.Scheduler.Withdraw(context.WithoutCancel(ctx), a.Selection.Token); err != nil {
		s.server.log.Info("a cancelled select could not give its slot back")
	}
}
