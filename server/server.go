// Package server is usher's gRPC edge: it checks what comes in, turns it into
// core's terms and back, and knows how to start, drain and stop.
//
// A call passes the interceptors of chain.go, then the service's method: select.go,
// report.go, stream.go, metrics.go. It knows core's types and no store.
package server

import (
	"context"
	"errors"
	"net"
	"sync"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/server/telemetry"
)

// Server serves usher's API.
type Server struct {
	opts      Options
	log       *zap.Logger
	telemetry *telemetry.Telemetry
	grpc      *grpc.Server
	health    *healthService

	// draining ends when Drain begins: it closes the gate and ends the streams.
	draining      context.Context
	beginDraining context.CancelFunc
	// running ends at the hard stop: work that outlives its own call is bound to it.
	running context.Context
	stop    context.CancelFunc
	// streamWork are the goroutines of report streams beside their handlers; each ends with its stream.
	streamWork sync.WaitGroup
	drainOnce  sync.Once
	drained    chan struct{}
	drainErr   error // set before drained is closed
}

// New makes a server with all services registered. Drain ends it, also when it never served.
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:      opts,
		log:       sampled(opts.Logger),
		telemetry: opts.Telemetry,
		drained:   make(chan struct{}),
	}
	s.draining, s.beginDraining = context.WithCancel(context.Background())
	s.running, s.stop = context.WithCancel(context.Background())

	s.grpc = grpc.NewServer(append(s.transportOptions(), opts.GRPC...)...)
	usherv1.RegisterSchedulerServiceServer(s.grpc, &schedulerService{server: s})
	usherv1.RegisterMetricsServiceServer(s.grpc, newMetricsService(s))
	s.health = registerHealth(s.draining, s.grpc)
	reflection.Register(s.grpc)
	return s, nil
}

// Serve serves on all listeners until Drain, and then gives nil. When one listener
// fails, the others are stopped too and its error is given. It closes the listeners.
func (s *Server) Serve(listeners ...net.Listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- s.grpc.Serve(l) }()
	}
	var errs []error
	for range listeners {
		err := <-ended
		if err == nil || errors.Is(err, grpc.ErrServerStopped) {
			continue
		}
		errs = append(errs, err)
		s.hardStop()
	}
	return errors.Join(errs...)
}

// hardStop closes every connection and cancels every call; it returns when their handlers have.
func (s *Server) hardStop() {
	s.beginDraining()
	s.stop()
	s.grpc.Stop()
}
