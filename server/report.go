package server

import (
	"context"

	usherv1 "usher.internal/gen/usher/v1"
)

// Report applies events.
func (s *schedulerService) Report(ctx context.Context, m *usherv1.ReportRequest) (*usherv1.ReportResponse, error) {
	results, err := s.server.opts.Scheduler.Report(ctx, eventsFrom(m.GetEvents()))
	if err != nil {
		return nil, s.server.statusError(ctx, err)
	}
	return &usherv1.ReportResponse{Results: resultsTo(results), Degraded: s.server.degraded()}, nil
}

// Renew extends leases.
func (s *schedulerService) Renew(ctx context.Context, m *usherv1.RenewRequest) (*usherv1.RenewResponse, error) {
	results, err := s.server.opts.Scheduler.Renew(ctx, m.GetLeaseTokens(), m.GetLeaseTtl().AsDuration())
	if err != nil {
		return nil, s.server.statusError(ctx, err)
	}
	return &usherv1.RenewResponse{Results: renewalsTo(results)}, nil
}

func (s *Server) degraded() bool { return s.opts.Degraded != nil && s.opts.Degraded() }
