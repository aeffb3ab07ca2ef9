package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const (
	// oneInOK is how seldom a call that went well is logged.
	oneInOK = 1024
	// In each second, of alike lines, the first logFirst are written and then one in logThereafter.
	logFirst, logThereafter = 20, 100
)

// callLog logs calls that failed, and few that did not. It never logs what a request carries.
//
// The middleware builds its fields, a few µs of them, before it knows how the call ends. So it
// is asked afterwards, about calls that are to be logged, with a handler that only gives the result again.
type callLog struct {
	log           *zap.Logger
	ok            atomic.Uint64
	finishUnary   grpc.UnaryServerInterceptor
	finishStreams grpc.StreamServerInterceptor
}

// sampled keeps a flood of alike lines out of the log.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, logFirst, logThereafter)
	}))
}

func newCallLog(log *zap.Logger) *callLog {
	options := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithLevels(callLevel),
		// The middleware would give the time of giving the result again.
		logging.WithDurationField(func(time.Duration) logging.Fields { return nil }),
	}
	l := logging.LoggerFunc(func(_ context.Context, level logging.Level, msg string, fields ...any) {
		writeLine(log, level, msg, fields)
	})
	return &callLog{
		log:           log,
		finishUnary:   logging.UnaryServerInterceptor(l, options...),
		finishStreams: logging.StreamServerInterceptor(l, options...),
	}
}

func callLevel(code codes.Code) logging.Level {
	switch code {
	case codes.OK:
		return logging.LevelDebug
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return logging.LevelError
	default:
		return logging.LevelInfo
	}
}

func writeLine(log *zap.Logger, level logging.Level, msg string, fields logging.Fields) {
	line := log.Check(zapLevel(level), msg)
	if line == nil {
		return
	}
	out := make([]zap.Field, 0, len(fields)/2)
	for i := fields.Iterator(); i.Next(); {
		key, value := i.At()
		out = append(out, zap.Any(key, value))
	}
	line.Write(out...)
}

func zapLevel(level logging.Level) zapcore.Level {
	switch {
	case level >= logging.LevelError:
		return zapcore.ErrorLevel
	case level >= logging.LevelWarn:
		return zapcore.WarnLevel
	case level >= logging.LevelInfo:
		return zapcore.InfoLevel
	default:
		return zapcore.DebugLevel
	}
}

func (l *callLog) wanted(err error) bool {
	if err != nil {
		return true
	}
	return l.ok.Add(1)%oneInOK == 0 && l.log.Core().Enabled(zapcore.DebugLevel)
}

// began gives the fields that the middleware would have taken when the call began.
func began(ctx context.Context, start time.Time) context.Context {
	return logging.InjectFields(ctx, logging.Fields{
		"grpc.start_time", start.Format(time.RFC3339Nano), "grpc.duration", time.Since(start).String(),
	})
}

func (l *callLog) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := handler(ctx, req)
	if !l.wanted(err) {
		return resp, err
	}
	return l.finishUnary(began(ctx, start), nil, info, func(context.Context, any) (any, error) { return resp, err })
}

func (l *callLog) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	start := time.Now()
	err := handler(srv, stream)
	if !l.wanted(err) {
		return err
	}
	ctx := began(stream.Context(), start)
	return l.finishStreams(srv, &contextStream{ServerStream: stream, ctx: ctx}, info,
		func(any, grpc.ServerStream) error { return err })
}

// contextStream is a stream under another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *contextStream) Context() context.Context { return s.ctx }
