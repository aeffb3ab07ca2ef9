package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	usherv1 "usher.internal/gen/usher/v1"
)

// healthService is gRPC's own, with watches that end when the server does.
type healthService struct {
	*health.Server
	draining context.Context
}

func registerHealth(draining context.Context, to grpc.ServiceRegistrar) *healthService {
	h := &healthService{Server: health.NewServer(), draining: draining}
	for _, service := range []string{
		"", usherv1.SchedulerService_ServiceDesc.ServiceName, usherv1.MetricsService_ServiceDesc.ServiceName,
	} {
		h.SetServingStatus(service, healthv1.HealthCheckResponse_SERVING)
	}
	healthv1.RegisterHealthServer(to, h)
	return h
}

// Watch tells NOT_SERVING when the server drains, and ends: a watch that stays open would hold up the stop.
func (h *healthService) Watch(req *healthv1.HealthCheckRequest, stream healthv1.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(h.draining, cancel)()
	err := h.Server.Watch(req, &watchStream{Health_WatchServer: stream, ctx: ctx})
	if h.draining.Err() == nil {
		return err
	}
	return stream.Send(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING})
}

type watchStream struct {
	healthv1.Health_WatchServer
	ctx context.Context
}

func (w *watchStream) Context() context.Context { return w.ctx }
