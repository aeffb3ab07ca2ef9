package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

const defaultInterval = time.Second

// metricsService is MetricsService. Validation has passed before its methods run.
type metricsService struct {
	usherv1.UnimplementedMetricsServiceServer
	server *Server
	// places has one element for each stream that is open.
	places chan struct{}
}

func newMetricsService(s *Server) *metricsService {
	return &metricsService{server: s, places: make(chan struct{}, s.opts.MaxSubscribers)}
}

// StreamMetrics sends snapshots until the client leaves or the server drains. Each stream has a
// goroutine of its own that waits for its client; core's subscription holds the latest snapshot meanwhile.
func (m *metricsService) StreamMetrics(req *usherv1.StreamMetricsRequest, stream grpc.ServerStreamingServer[usherv1.StreamMetricsResponse]) error {
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	default:
		st := status.New(codes.ResourceExhausted, "as many metrics streams are open as may")
		return detailed(st, reasonSubscribers, nil, m.server.opts.RetryAfter)
	}
	interval := defaultInterval
	if req.Interval != nil {
		interval = req.GetInterval().AsDuration()
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(m.server.draining, cancel)()

	sub := m.server.opts.Metrics.Subscribe(interval)
	defer sub.Close()
	return m.pump(ctx, sub, stream, view{group: req.GetGroup(), omit: req.GetOmitAccounts()})
}

func (m *metricsService) pump(ctx context.Context, sub *core.Subscription, stream grpc.ServerStreamingServer[usherv1.StreamMetricsResponse], v view) error {
	for {
		snap, skipped, err := sub.Next(ctx)
		if err != nil {
			return m.ended(ctx, err)
		}
		response := &usherv1.StreamMetricsResponse{
			Snapshot: snapshotTo(snap, m.server.telemetry, v),
			Skipped:  skipped,
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// ended tells why a stream ends; while draining, the end itself is the message.
func (m *metricsService) ended(ctx context.Context, err error) error {
	if m.server.isDraining() {
		return nil
	}
	return m.server.statusError(ctx, err)
}

// GetMetrics gives one snapshot.
func (m *metricsService) GetMetrics(ctx context.Context, req *usherv1.GetMetricsRequest) (*usherv1.GetMetricsResponse, error) {
	snap, err := m.server.opts.Metrics.Snapshot(ctx)
	if err != nil {
		return nil, m.server.statusError(ctx, err)
	}
	v := view{group: req.GetGroup(), omit: req.GetOmitAccounts()}
	return &usherv1.GetMetricsResponse{Snapshot: snapshotTo(snap, m.server.telemetry, v)}, nil
}

// ListDecisions lists recent decisions.
func (m *metricsService) ListDecisions(_ context.Context, req *usherv1.ListDecisionsRequest) (*usherv1.ListDecisionsResponse, error) {
	records := m.server.opts.Metrics.Decisions(filterFrom(req))
	out := &usherv1.ListDecisionsResponse{Decisions: make([]*usherv1.DecisionRecord, len(records))}
	for i := range records {
		out.Decisions[i] = recordTo(&records[i])
	}
	return out, nil
}

// Explain explains a past decision.
func (m *metricsService) Explain(ctx context.Context, req *usherv1.ExplainRequest) (*usherv1.ExplainResponse, error) {
	id, ok := core.ParseDecisionID(req.GetDecisionId())
	if !ok {
		// What is no id of ours is no decision of ours.
		return nil, m.server.statusError(ctx, &core.Error{Kind: core.KindDecisionUnknown, Text: "no such decision is kept here"})
	}
	e, err := m.server.opts.Metrics.Explain(id)
	if err != nil {
		return nil, m.server.statusError(ctx, err)
	}
	return &usherv1.ExplainResponse{
		Record:      recordTo(&e.Record),
		Weights:     weightsTo(&e.Weights),
		DrawSeed:    e.Seed,
		NotLookedAt: count(e.NotLookedAt),
	}, nil
}
