package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/server/telemetry"
)

const callers = 64

// BenchmarkChain is what the interceptors cost around a handler that does nothing.
func BenchmarkChain(b *testing.B) {
	s := bareServer(b)
	interceptors, _ := s.chain()
	handler := func(context.Context, any) (any, error) { return nil, nil }
	info := &grpc.UnaryServerInfo{FullMethod: usherv1.SchedulerService_Select_FullMethodName}
	next := handler
	for i := len(interceptors) - 1; i >= 0; i-- {
		inner := next
		next = func(ctx context.Context, req any) (any, error) { return interceptors[i](ctx, req, info, inner) }
	}
	req := selectRequest(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := next(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidateSelect(b *testing.B) {
	req := selectRequest(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := validate(req); err != nil {
			b.Fatal(err)
		}
	}
}

func selectRequest(i int) *usherv1.SelectRequest {
	return &usherv1.SelectRequest{
		Group: "g", Model: "some-model-1", SessionHash: fmt.Sprintf("session-%08d", i%1000), Tenant: "tenant",
		Owner: &usherv1.Owner{Name: "gateway-1", Incarnation: "1"},
	}
}

// loopback serves over TCP and gives a connection.
func loopback(b *testing.B, serve func(net.Listener) error) *grpc.ClientConn {
	b.Helper()
	var config net.ListenConfig
	l, err := config.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

func usherLoopback(b *testing.B) usherv1.SchedulerServiceClient {
	b.Helper()
	tel, err := telemetry.New()
	if err != nil {
		b.Fatal(err)
	}
	scheduler := newCore(b, accounts(100, 50), tel)
	s, err := New(Options{Scheduler: scheduler, Metrics: scheduler, Telemetry: tel})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Drain(context.Background()) })
	return usherv1.NewSchedulerServiceClient(loopback(b, func(l net.Listener) error { return s.Serve(l) }))
}

// BenchmarkSelectReport is a Select and the Report that finishes it, 64 callers over TCP.
func BenchmarkSelectReport(b *testing.B) {
	client := usherLoopback(b)
	pairs(b, func(ctx context.Context, i int) error {
		r, err := client.Select(ctx, selectRequest(i))
		if err != nil || r.GetSelection() == nil {
			return errors.Join(err, errors.New("no selection"))
		}
		_, err = client.Report(ctx, report(about(r.GetSelection().GetLeaseToken(), succeeded())))
		return err
	})
}

// BenchmarkSelectStream is the same with the report on a stream.
func BenchmarkSelectStream(b *testing.B) {
	client := usherLoopback(b)
	stream := (&edge{scheduler: client}).open(b, "o", "1")
	through := make(chan uint64, 1)
	go func() {
		defer close(through)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case <-through:
			default:
			}
			through <- m.GetAck().GetThroughSequence()
		}
	}()
	var mu sync.Mutex
	n := uint64(0)
	pairs(b, func(ctx context.Context, i int) error {
		r, err := client.Select(ctx, selectRequest(i))
		if err != nil || r.GetSelection() == nil {
			return errors.Join(err, errors.New("no selection"))
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return stream.Send(event(n, about(r.GetSelection().GetLeaseToken(), succeeded())))
	})
	for last := range through {
		if last == n {
			break
		}
	}
	_ = stream.CloseSend()
}

// BenchmarkEcho is two calls of a bare gRPC server with messages of the same sizes.
func BenchmarkEcho(b *testing.B) {
	s := grpc.NewServer()
	sizes := pairSizes(b)
	for i, size := range sizes {
		answer := wrapperspb.Bytes(make([]byte, size.answer))
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: fmt.Sprintf("echo.Echo%d", i),
			HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				return answer, decode(new(wrapperspb.BytesValue))
			}}},
		}, struct{}{})
	}
	b.Cleanup(s.Stop)
	conn := loopback(b, s.Serve)
	pairs(b, func(ctx context.Context, _ int) error {
		for i, size := range sizes {
			method := [...]string{"/echo.Echo0/Echo", "/echo.Echo1/Echo"}[i]
			if err := conn.Invoke(ctx, method, wrapperspb.Bytes(make([]byte, size.ask)), new(wrapperspb.BytesValue)); err != nil {
				return err
			}
		}
		return nil
	})
}

type callSize struct{ ask, answer int }

// pairSizes measures the messages of a Select and its Report.
func pairSizes(b *testing.B) [2]callSize {
	b.Helper()
	w := newWorld(b, accounts(100, 50), Options{})
	ask := selectRequest(1)
	selected, err := w.scheduler.Select(b.Context(), ask)
	if err != nil {
		b.Fatal(err)
	}
	tell := report(about(selected.GetSelection().GetLeaseToken(), succeeded()))
	told, err := w.scheduler.Report(b.Context(), tell)
	if err != nil {
		b.Fatal(err)
	}
	return [2]callSize{{proto.Size(ask), proto.Size(selected)}, {proto.Size(tell), proto.Size(told)}}
}

func pairs(b *testing.B, pair func(ctx context.Context, i int) error) {
	b.Helper()
	b.ReportAllocs()
	work := make(chan int, callers)
	var all sync.WaitGroup
	b.ResetTimer()
	for range callers {
		all.Go(func() {
			for i := range work {
				if err := pair(b.Context(), i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	all.Wait()
	b.StopTimer()
}
