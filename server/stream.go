package server

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// receivedAhead is how many messages a stream may have received and not applied; a client
// that is faster than that is held back by flow control.
const receivedAhead = 2 * maxBatch

// farewellWait is how long the end of a stream waits for a client to read its last acks.
const farewellWait = lastWords / 2

type reportServerStream = grpc.BidiStreamingServer[usherv1.ReportStreamRequest, usherv1.ReportStreamResponse]

// reportStream is one owner's stream. Three goroutines run for it: a receiver, since only that
// way the rest can tell what is there without waiting for more; the handler, which applies; and a
// sender, so that a client that does not read its acks holds up nobody but itself.
type reportStream struct {
	server *Server
	stream reportServerStream
	owner  attachment
	// overflowed ends when more was lost than the owner can be told; overflow ends it.
	overflowed context.Context
	overflow   context.CancelFunc
	// received is closed by the receiver, after it has set receiveErr.
	received   chan *usherv1.ReportStreamRequest
	receiveErr error
	acks       *acks
	// flush is closed by the handler when nothing is added to acks any more; sent by the sender at its end.
	flush, sent chan struct{}
	// farewell is the last message, nil for none; set before flush is closed.
	farewell *usherv1.GoingAway
	batch    batch
}

// ReportStream takes the events of one owner for as long as the stream lives.
func (s *schedulerService) ReportStream(stream reportServerStream) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return validateHello(nil)
	}
	if err != nil {
		return err
	}
	if err := validateHello(first); err != nil {
		return err
	}
	owner, hello, err := s.server.attach(stream.Context(), first.GetHello())
	if err != nil {
		return err
	}
	defer owner.Detach()
	err = stream.Send(&usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_Hello{Hello: hello}})
	if err != nil {
		return err
	}
	r := &reportStream{
		server:   s.server,
		stream:   stream,
		owner:    owner,
		received: make(chan *usherv1.ReportStreamRequest, receivedAhead),
		acks:     newAcks(),
		flush:    make(chan struct{}),
		sent:     make(chan struct{}),
	}
	r.overflowed, r.overflow = context.WithCancel(context.Background())
	defer r.overflow()
	s.server.streamWork.Go(r.receive)
	s.server.streamWork.Go(r.send)
	return r.run()
}

// receive reads until the stream ends. It may outlive the handler by a moment: the handler's return ends the stream.
func (r *reportStream) receive() {
	defer close(r.received)
	ctx := r.stream.Context()
	for {
		m, err := r.stream.Recv()
		if err != nil {
			r.receiveErr = err
			return
		}
		select {
		case r.received <- m:
		case <-ctx.Done():
			r.receiveErr = ctx.Err()
			return
		}
	}
}

// run applies what is received until the client is done, another stream of the owner takes over, or the server drains.
func (r *reportStream) run() error {
	for {
		select {
		case <-r.server.draining.Done():
			return r.goAway("the server is draining")
		case <-r.overflowed.Done():
			return r.goAway("more leases were lost than are kept to be told")
		case <-r.owner.Done():
			return r.goAway("another stream of this owner took over, or usher stops")
		case m, more := <-r.received:
			if !more {
				return r.end()
			}
			if err := r.apply(m); err != nil {
				return err
			}
		}
	}
}

// apply takes a message and those behind it that are there already, up to a heartbeat.
func (r *reportStream) apply(m *usherv1.ReportStreamRequest) error {
	b := &r.batch
	b.reset()
	for b.add(m); !b.full(); b.add(m) {
		if m = r.poll(); m == nil {
			break
		}
	}
	// What was received is applied even when the client is gone: it may be a release.
	if err := b.report(r.server.running, r.server.opts.Scheduler); err != nil {
		r.server.log.Info("events of a report stream could not be applied", zap.Int("events", len(b.events)))
	}
	if b.beat != nil {
		r.beat(b.beat)
	}
	if !r.acks.add(b.order.last, b.exceptions) {
		st := status.New(codes.ResourceExhausted, "too many results wait for a client that does not read its acks")
		return detailed(st, reasonUnread, nil, 0)
	}
	return nil
}

// beat takes a heartbeat; the events before it have been applied.
func (r *reportStream) beat(m *usherv1.Heartbeat) {
	if err := r.owner.Heartbeat(r.stream.Context(), m.GetLeaseTokens()); err != nil {
		r.batch.refuse(m.GetSequence(), usherv1.NackReason_NACK_REASON_UNAVAILABLE, "", "could not be taken now")
		r.server.log.Info("a heartbeat could not be taken", zap.Error(err))
	}
}

// poll gives a message that is there already, nil when there is none.
func (r *reportStream) poll() *usherv1.ReportStreamRequest {
	select {
	case m := <-r.received:
		return m
	default:
		return nil
	}
}

// send sends acks until there will be no more, or the stream ends.
func (r *reportStream) send() {
	defer close(r.sent)
	ctx := r.stream.Context()
	for {
		select {
		case <-r.acks.ready:
			if r.sendAck() != nil {
				return
			}
		case <-r.owner.Ready():
			if r.tell() != nil {
				return
			}
		case <-r.flush:
			// Nobody reads an error any more: the handler returns.
			_ = r.sendAck()
			_ = r.sendFarewell()
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *reportStream) sendAck() error {
	ack := r.acks.take()
	if ack == nil {
		return nil
	}
	return r.stream.Send(&usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_Ack{Ack: ack}})
}

func (r *reportStream) sendFarewell() error {
	if r.farewell == nil {
		return nil
	}
	return r.stream.Send(&usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_GoingAway{GoingAway: r.farewell}})
}

// end sends the last acks when the client is done.
func (r *reportStream) end() error {
	if !errors.Is(r.receiveErr, io.EOF) {
		return r.receiveErr
	}
	close(r.flush)
	select {
	case <-r.sent:
		return nil
	case <-r.stream.Context().Done():
		return nil
	case <-r.server.draining.Done():
		return r.awaitSent()
	}
}

// goAway applies what is there, and tells the client that this is the end.
func (r *reportStream) goAway(why string) error {
	// Bounded, since a client may go on sending.
	for range receivedAhead {
		m := r.poll()
		if m == nil {
			break
		}
		if err := r.apply(m); err != nil {
			return err
		}
	}
	r.farewell = &usherv1.GoingAway{RetryAfter: durationpb.New(r.server.opts.RetryAfter), Description: why}
	close(r.flush)
	return r.awaitSent()
}

// awaitSent waits for the sender, no longer than for a client that reads. It ends with the stream anyway.
func (r *reportStream) awaitSent() error {
	bound := time.NewTimer(farewellWait)
	defer bound.Stop()
	select {
	case <-r.sent:
	case <-bound.C:
	}
	return nil
}
