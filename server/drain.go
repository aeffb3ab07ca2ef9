package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	idlePoll = 100 * time.Millisecond
	// lastWords is for streams that the server cannot end in order: foreign ones, and those whose client does not read.
	lastWords = time.Second
	// handlersGrace is how long a cancelled handler has to return.
	handlersGrace = 2 * time.Second
)

// Drain stops the server in order. At once health says NOT_SERVING, Selects and new
// streams are refused with UNAVAILABLE, and streams get their last message. Reports are
// taken until Options.Idle says that no more are expected. When ctx ends, everything
// is cut off and an error tells so. Idempotent: a second call waits for the first.
func (s *Server) Drain(ctx context.Context) error {
	first := false
	s.drainOnce.Do(func() {
		first = true
		go func() {
			defer close(s.drained)
			s.drainErr = s.drain(ctx)
		}()
	})
	if first {
		// Its own ctx bounds it, and the hard stop after it is bounded too.
		<-s.drained
		return s.drainErr
	}
	select {
	case <-s.drained:
		return s.drainErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) drain(ctx context.Context) error {
	s.health.Shutdown()
	s.beginDraining()
	s.opts.Scheduler.EndWaits()
	if s.opts.Owners != nil {
		// Owners cannot say any more that they live; their leases stand for the next usher.
		s.opts.Owners.EndAttachments()
	}
	s.awaitIdle(ctx)

	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
	}()
	bound := time.NewTimer(lastWords)
	defer bound.Stop()
	var cut error
	select {
	case <-graceful:
	case <-bound.C:
	case <-ctx.Done():
		cut = fmt.Errorf("server: cut off: %w", context.Cause(ctx))
	}
	return errors.Join(cut, s.awaitHandlers())
}

// awaitIdle returns when no more reports are expected or ctx ends.
func (s *Server) awaitIdle(ctx context.Context) {
	poll := time.NewTicker(idlePoll)
	defer poll.Stop()
	for !s.opts.Idle(ctx) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// awaitHandlers stops hard and waits for what still runs.
func (s *Server) awaitHandlers() error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.hardStop()
		s.streamWork.Wait()
	}()
	bound := time.NewTimer(handlersGrace)
	defer bound.Stop()
	select {
	case <-ended:
		return nil
	case <-bound.C:
		return errors.New("server: handlers still run after they were cancelled")
	}
}

func (s *Server) isDraining() bool { return s.draining.Err() != nil }

// gated are the methods that a draining server refuses.
func gated(method string) bool {
	switch method {
	case usherv1.SchedulerService_Select_FullMethodName,
		usherv1.SchedulerService_ReportStream_FullMethodName,
		usherv1.MetricsService_StreamMetrics_FullMethodName:
		return true
	}
	return false
}

func (s *Server) gateUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if s.isDraining() && gated(info.FullMethod) {
		return nil, s.drainingError()
	}
	return handler(ctx, req)
}

func (s *Server) gateStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if s.isDraining() && gated(info.FullMethod) {
		return s.drainingError()
	}
	return handler(srv, stream)
}

func (s *Server) drainingError() error {
	return detailed(status.New(codes.Unavailable, "the server is draining"), reasonDraining, nil, s.opts.RetryAfter)
}
