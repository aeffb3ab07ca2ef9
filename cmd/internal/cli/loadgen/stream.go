package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	usherv1 "usher.internal/gen/usher/v1"
)

// Streamed is a driver that reports over one stream for each connection. A
// pair is over when its report is acknowledged; its caller does not wait for that.
type Streamed struct {
	work    Work
	conns   []*grpc.ClientConn
	streams []*reports
}

// OpenStreams opens the streams of one round. An owner has one stream at a
// time, so each connection is an owner of its own.
func OpenStreams(ctx context.Context, w Work, conns []*grpc.ClientConn) (*Streamed, error) {
	s := &Streamed{work: w, conns: conns}
	for i, conn := range conns {
		owner := &usherv1.Owner{Name: fmt.Sprintf("%s-%d", w.Owner.GetName(), i), Incarnation: w.Owner.GetIncarnation()}
		r, err := openReports(ctx, conn, owner, w)
		if err != nil {
			_, drainErr := s.Drain(ctx)
			return nil, errors.Join(err, drainErr)
		}
		s.streams = append(s.streams, r)
	}
	return s, nil
}

// Caller makes the i-th.
func (s *Streamed) Caller(i int) Caller {
	n := i % len(s.conns)
	w := s.work
	w.Owner = s.streams[n].owner
	p := newPairs(w, s.conns[n], i)
	p.selected = s.streams[n].hold
	p.report = func(ctx context.Context, token string, selected time.Duration, r *Record) {
		if s.streams[n].send(token, selected) != nil {
			// The stream broke: the slot is given back all the same.
			r.Errors["report stream"]++
			p.reportUnary(ctx, token, selected, r)
		}
	}
	return p
}

// Drain waits for the acknowledgments.
func (s *Streamed) Drain(ctx context.Context) (*Record, error) {
	all, err := NewRecord()
	if err != nil {
		return nil, err
	}
	for _, r := range s.streams {
		r.finish(ctx)
		if err := all.Merge(r.record); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// reports is one stream. send may be called by many.
type reports struct {
	owner  *usherv1.Owner
	clock  Clock
	limit  time.Duration
	stream grpc.BidiStreamingClient[usherv1.ReportStreamRequest, usherv1.ReportStreamResponse]
	cancel context.CancelFunc
	// window has room for what is not acknowledged yet.
	window chan struct{}
	// received is closed when nothing more comes.
	received chan struct{}
	record   *Record // belongs to the receiver until received is closed

	// A blocked Send holds sending only, so that acknowledgments are still taken.
	// Where both are locked, sending comes first.
	sending  sync.Mutex // guards stream.Send, sequence and broken
	sequence uint64
	broken   error
	mu       sync.Mutex // guards what follows
	sent     []sentReport
	held     map[string]struct{} // leases
	beats    map[uint64]struct{} // heartbeats that are not acknowledged

	// beating ends with ended.
	beating sync.WaitGroup
	ended   chan struct{}
}

type sentReport struct {
	sequence uint64
	at       time.Time
	selected time.Duration
}

const unacknowledged = 4096

func openReports(ctx context.Context, conn *grpc.ClientConn, owner *usherv1.Owner, w Work) (*reports, error) {
	record, err := NewRecord()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := usherv1.NewSchedulerServiceClient(conn).ReportStream(ctx)
	if err == nil {
		err = stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{Hello: &usherv1.ClientHello{Owner: owner}}})
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open report stream: %w", err)
	}
	r := &reports{
		owner: owner, clock: w.Clock, limit: w.Timeout, stream: stream, cancel: cancel, record: record,
		window: make(chan struct{}, unacknowledged), received: make(chan struct{}),
		held: make(map[string]struct{}), beats: make(map[uint64]struct{}), ended: make(chan struct{}),
	}
	go r.receive()
	return r, nil
}

func (r *reports) send(token string, selected time.Duration) error {
	defer r.drop(token)
	select {
	case r.window <- struct{}{}:
	case <-r.received:
		return io.ErrClosedPipe
	}
	r.sending.Lock()
	defer r.sending.Unlock()
	if r.broken != nil {
		return r.broken
	}
	r.sequence++
	r.mu.Lock()
	r.sent = append(r.sent, sentReport{sequence: r.sequence, at: r.clock.Now(), selected: selected})
	r.mu.Unlock()
	r.broken = r.stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Event{
		Event: &usherv1.SequencedEvent{Sequence: r.sequence, Event: Finished(token)},
	}})
	return r.broken
}

func (r *reports) receive() {
	defer close(r.received)
	for {
		m, err := r.stream.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.record.Errors["report stream "+status.Code(err).String()]++
			}
			return
		}
		switch m := m.GetMessage().(type) {
		case *usherv1.ReportStreamResponse_Hello:
			if every := m.Hello.GetHeartbeatInterval().AsDuration(); every > 0 {
				r.beating.Go(func() { r.beat(every) })
			}
		case *usherv1.ReportStreamResponse_Ack:
			r.acknowledge(m.Ack)
		case *usherv1.ReportStreamResponse_LeaseLost:
			r.drop(m.LeaseLost.GetLeaseToken())
			r.record.Errors["lease lost "+m.LeaseLost.GetReason().String()]++
		}
	}
}

func (r *reports) acknowledge(ack *usherv1.Ack) {
	now := r.clock.Now()
	refused := make(map[uint64]bool)
	beats := r.beatsTaken(ack.GetThroughSequence())
	for _, e := range ack.GetExceptions() {
		if beats[e.GetSequence()] {
			r.record.Errors["heartbeat nack "+e.GetNack().GetReason().String()]++
		} else if n := e.GetNack(); n != nil {
			refused[e.GetSequence()] = true
			r.record.Errors["report nack "+n.GetReason().String()]++
		} else {
			r.record.Unapplied++
		}
	}
	for _, s := range r.taken(ack.GetThroughSequence()) {
		<-r.window
		if refused[s.sequence] {
			continue
		}
		took := now.Sub(s.at)
		r.record.Report.add(took)
		r.record.Pair.add(s.selected + took)
		r.record.Pairs++
	}
}

// taken removes what is acknowledged.
func (r *reports) taken(through uint64) []sentReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.sent) && r.sent[n].sequence <= through {
		n++
	}
	done := r.sent[:n:n]
	r.sent = r.sent[n:]
	return done
}

// finish ends the stream in order: the server answers what was sent before it
// ends its side. What is still open after the time limit is cut.
func (r *reports) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.limit)
	defer cancel()
	defer context.AfterFunc(ctx, r.cancel)()
	close(r.ended)
	r.sending.Lock()
	_ = r.stream.CloseSend()
	r.broken = io.ErrClosedPipe
	r.sending.Unlock()
	<-r.received
	r.cancel()
	r.beating.Wait()
	if lost := len(r.taken(^uint64(0))); lost > 0 {
		r.record.Errors["report unacknowledged"] += uint64(lost)
	}
}
