package server

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// chain is the one ordered list of interceptors, outermost first:
//
//  1. metrics: sees every call and its final code, whatever stood in its way;
//  2. logging: inside metrics, so that a slow log shows in the durations;
//  3. recovery: inside both, so that a panic is counted and logged as INTERNAL; around
//     all that follows, since every one of them handles what a client sent;
//  4. auth: before anything that tells a stranger about the server's state;
//  5. gate: a draining server refuses before it spends work on reading a request;
//  6. validation: last, so that handlers see only what is valid.
func (s *Server) chain() ([]grpc.UnaryServerInterceptor, []grpc.StreamServerInterceptor) {
	log := newCallLog(s.log)
	recovered := recovery.WithRecoveryHandlerContext(s.recovered)
	unary := []grpc.UnaryServerInterceptor{s.countUnary, log.unary, recovery.UnaryServerInterceptor(recovered)}
	stream := []grpc.StreamServerInterceptor{s.countStream, log.stream, recovery.StreamServerInterceptor(recovered)}
	if s.opts.Auth != nil {
		unary = append(unary, auth.UnaryServerInterceptor(s.opts.Auth))
		stream = append(stream, auth.StreamServerInterceptor(s.opts.Auth))
	}
	return append(unary, s.gateUnary, validateUnary), append(stream, s.gateStream, validateStream)
}

func (s *Server) countUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := handler(ctx, req)
	s.telemetry.Called(info.FullMethod, status.Code(err), time.Since(start))
	return resp, err
}

func (s *Server) countStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	start := time.Now()
	err := handler(srv, stream)
	s.telemetry.Called(info.FullMethod, status.Code(err), time.Since(start))
	return err
}

// recovered answers a panic. Its text is logged only when it is the runtime's own:
// any other may quote what a client sent.
func (s *Server) recovered(_ context.Context, p any) error {
	text := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		text = err.Error()
	}
	s.log.Error("panic in a handler", zap.String("panic", text), zap.ByteString("stack", debug.Stack()))
	return detailed(status.New(codes.Internal, "internal error"), reasonInternal, nil, 0)
}
