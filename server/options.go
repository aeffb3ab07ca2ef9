package server

import (
	"context"
	"errors"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"usher.internal/core"
	"usher.internal/server/telemetry"
)

// Scheduler is what SchedulerService needs. core.Scheduler has it.
type Scheduler interface {
	// Select asks for an account. It may block for ctx's time; safe for concurrent use; idempotent by request id.
	// Errors are *core.Error or ctx's.
	Select(ctx context.Context, req *core.Request) (*core.Answer, error)
	// Report applies events in order. It may block for ctx's time; safe for concurrent use; idempotent.
	// Errors are *core.Error or ctx's. It keeps no part of events but their strings.
	Report(ctx context.Context, events []core.Event) ([]core.EventResult, error)
	// Renew gives leases a new lifetime; 0 is the scheduler's. It may block for ctx's time; safe for concurrent use; idempotent.
	Renew(ctx context.Context, tokens []string, ttl time.Duration) ([]core.RenewResult, error)
	// EndWaits ends every Select that waits with KindClosed, and lets no other wait. It does not block; safe for concurrent use; idempotent.
	EndWaits()
	// Withdraw takes back one selection that nobody heard of. It may block for ctx's time; safe for concurrent use; not
	// idempotent: each call takes one back. Errors are *core.Error or ctx's.
	Withdraw(ctx context.Context, token string) error
}

// Metrics is what MetricsService needs. core.Scheduler has it.
type Metrics interface {
	// Snapshot gives the state now. It may block for ctx's time; safe for concurrent use; changes nothing.
	Snapshot(ctx context.Context) (*core.Snapshot, error)
	// Subscribe starts a subscription that its reader must close. It does not block; safe for concurrent use.
	Subscribe(interval time.Duration) *core.Subscription
	// Decisions lists recent decisions. It does not block; safe for concurrent use.
	Decisions(filter core.DecisionFilter) []core.DecisionRecord
	// Explain gives a past decision, or KindDecisionUnknown. It does not block; safe for concurrent use.
	Explain(id core.DecisionID) (*core.Explanation, error)
}

var (
	_ Scheduler = (*core.Scheduler)(nil)
	_ Metrics   = (*core.Scheduler)(nil)
)

// Options are what a server is built from.
type Options struct {
	// Scheduler and Metrics are required, and are usually the same core.Scheduler.
	Scheduler Scheduler
	Metrics   Metrics
	// Owners look after those who hold leases, and are usually the same core.Scheduler; nil is nobody: streams
	// then have no terms, and heartbeats no effect.
	Owners Owners
	// Telemetry is the scheduler's observer, whose latencies the snapshots give; nil is one that nothing observes with.
	Telemetry *telemetry.Telemetry
	// Logger takes a line for calls that fail; nil is none.
	Logger *zap.Logger
	// Auth admits or refuses each call; nil admits all.
	Auth auth.AuthFunc
	// GRPC are further options, such as credentials. They win over the server's own.
	GRPC []grpc.ServerOption

	// MarkTTL is told to report streams: how long after a lease's end a repeated event is recognized; 0 is not told.
	MarkTTL time.Duration
	// MaxSubscribers bounds the StreamMetrics calls at a time; 0 is 1,000.
	MaxSubscribers int
	// RetryAfter is the hint to clients while draining, and when the store is away; 0 is 1 s.
	RetryAfter time.Duration
	// MinPingInterval is how often a client may ping; 0 is 4 s: pings every 5 s, with room for jitter.
	MinPingInterval time.Duration
	// Degraded tells that the store is out of reach, and what stands in for it answers; nil is never. It must not block.
	Degraded func() bool
	// Idle tells a draining server that no more reports are expected. It is asked a few times a second and must not
	// block for longer than ctx. Nil is: no lease is live in Metrics' snapshot.
	Idle func(ctx context.Context) bool
}

const (
	// maxRequestBytes is far above the largest valid request (a Report of 256 events with response ids).
	maxRequestBytes = 1 << 20
	maxHeaderBytes  = 64 << 10
	// maxStreams is never to be reached: a Select that waits is a stream for as long as it
	// waits, and a Report of the same connection must still find one. gRPC queues calls above
	// the limit in the client, so a limit near the number of waiters would lock out the very Reports that free slots.
	maxStreams = 1 << 20

	// streamWorkers are goroutines that are kept for calls: a new one grows its stack anew in each
	// call. When all are busy, waiting Selects included, a call gets a goroutine of its own.
	streamWorkers = 128

	defaultMinPing = 4 * time.Second
	pingAfter      = 30 * time.Second
	pingTimeout    = 10 * time.Second

	defaultMaxSubscribers = 1000
	defaultRetryAfter     = time.Second
)

func (o Options) withDefaults() (Options, error) {
	if o.Scheduler == nil || o.Metrics == nil {
		return o, errors.New("server: Scheduler and Metrics are required")
	}
	if o.Telemetry == nil {
		t, err := telemetry.New()
		if err != nil {
			return o, err
		}
		o.Telemetry = t
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.MaxSubscribers == 0 {
		o.MaxSubscribers = defaultMaxSubscribers
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = defaultRetryAfter
	}
	if o.MinPingInterval == 0 {
		o.MinPingInterval = defaultMinPing
	}
	if o.Idle == nil {
		o.Idle = noLeases(o.Metrics)
	}
	return o, nil
}

func noLeases(m Metrics) func(context.Context) bool {
	return func(ctx context.Context) bool {
		snap, err := m.Snapshot(ctx)
		return err != nil || snap == nil || snap.Usage.Leases == 0
	}
}

func (s *Server) transportOptions() []grpc.ServerOption {
	unary, stream := s.chain()
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             s.opts.MinPingInterval,
			PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.WaitForHandlers(true),
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(stream...),
	}
}
