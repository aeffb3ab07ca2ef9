package server

import (
	"context"

	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
)

// validate checks a request. known is false for messages that are not usher's
// requests, such as health's, and for those of ReportStream: a bad one is nacked there.
func validate(msg any) (known bool, err error) {
	switch m := msg.(type) {
	case *usherv1.SelectRequest:
		return true, validateSelect(m)
	case *usherv1.ReportRequest:
		return true, validateReport(m)
	case *usherv1.RenewRequest:
		return true, validateRenew(m)
	case *usherv1.GetMetricsRequest:
		return true, validateGetMetrics(m)
	case *usherv1.StreamMetricsRequest:
		return true, validateStreamMetrics(m)
	case *usherv1.ListDecisionsRequest:
		return true, validateListDecisions(m)
	case *usherv1.ExplainRequest:
		return true, validateExplain(m)
	}
	return false, nil
}

func validateUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if _, err := validate(req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func validateStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if info.IsClientStream {
		return handler(srv, stream)
	}
	return handler(srv, &validatedStream{ServerStream: stream})
}

// validatedStream checks the one request of a server-streaming call.
type validatedStream struct {
	grpc.ServerStream
}

func (s *validatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	_, err := validate(m)
	return err
}
