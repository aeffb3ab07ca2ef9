package gateway

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
)

// Stream delivers events over one ReportStream for the whole process, in place of Report: one
// message an event and no call to wait for. Events stay pending until they are acked; when the
// stream breaks they go again on the next one. Heartbeats say what the process holds. It is safe for
// concurrent use.
type Stream struct {
	usher usherv1.SchedulerServiceClient
	owner *usherv1.Owner
	held  *Held
	// Trouble hears of events that usher refused or had no use for; it must not block.
	Trouble func(*usherv1.EventException)

	mu      sync.Mutex
	last    uint64                    // guarded by mu: sequence of the newest event or heartbeat
	pending []*usherv1.SequencedEvent // guarded by mu: not acked, rising
	sent    int                       // guarded by mu: how many of pending went over the present stream
	beats   []uint64                  // guarded by mu: heartbeats that are not acked
	changed chan struct{}             // guarded by mu: closed and replaced at each change
}

// NewStream makes a Stream; Run does its work. Every lease that was selected with this owner must be in held.
func NewStream(usher usherv1.SchedulerServiceClient, owner *usherv1.Owner, held *Held) *Stream {
	return &Stream{usher: usher, owner: owner, held: held, changed: make(chan struct{})}
}

// Send queues events and returns at once. The oldest are dropped when too many are pending.
func (s *Stream) Send(events ...*usherv1.ReportEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.last++
		s.pending = append(s.pending, &usherv1.SequencedEvent{Sequence: s.last, Event: e})
	}
	drop := max(0, len(s.pending)-maxKept)
	s.pending, s.sent = s.pending[drop:], max(0, s.sent-drop)
	s.wake()
}

// Run keeps a stream open until the context ends. The first one says that this start of the process
// replaces the one before, whose leases end at once; one that was opened again must not say so.
func (s *Stream) Run(ctx context.Context) {
	replaces := true
	for ctx.Err() == nil {
		pause, err := s.once(ctx, &replaces)
		if ctx.Err() == nil {
			log.Printf("report stream: %v; again in %v", err, pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// once serves one stream to its end and says how long to wait before the next.
func (s *Stream) once(ctx context.Context, replaces *bool) (pause time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream and its sender
	var sender sync.WaitGroup
	defer sender.Wait()
	defer cancel()
	stream, err := s.usher.ReportStream(ctx)
	if err != nil {
		return time.Second, err
	}
	hello := &usherv1.ClientHello{Owner: s.owner, ReplacesPrevious: *replaces}
	// Recv gets the reason if it fails.
	_ = stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Hello{Hello: hello}})
	pause = time.Second
	for {
		message, err := stream.Recv()
		if err != nil {
			return pause, err
		}
		switch m := message.Message.(type) {
		case *usherv1.ReportStreamResponse_Hello:
			*replaces = false
			s.rewind()
			s.held.forgetAccounts()
			sender.Go(func() { s.sendAll(ctx, stream, m.Hello.HeartbeatInterval.AsDuration()) })
		case *usherv1.ReportStreamResponse_Ack:
			if s.acked(m.Ack) {
				return pause, errors.New("usher's store is away: what was refused goes again")
			}
		case *usherv1.ReportStreamResponse_LeaseLost:
			log.Printf("a lease ended by itself: %v", m.LeaseLost.Reason)
			s.held.Remove(m.LeaseLost.LeaseToken)
		case *usherv1.ReportStreamResponse_AccountState:
			s.held.changed(m.AccountState)
		case *usherv1.ReportStreamResponse_GoingAway:
			pause, err = m.GoingAway.RetryAfter.AsDuration(), errors.New(m.GoingAway.Description)
			return max(pause, 100*time.Millisecond), fmt.Errorf("usher goes away: %w", err)
		default: // something newer than this client
		}
	}
}

// sendAll sends what is pending, and then what comes, until the stream ends; and heartbeats, the first at once.
func (s *Stream) sendAll(ctx context.Context, stream grpc.BidiStreamingClient[usherv1.ReportStreamRequest, usherv1.ReportStreamResponse], every time.Duration) {
	var due <-chan time.Time // never, without heartbeats
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		due = ticker.C
	}
	for beat := every > 0; ctx.Err() == nil; {
		batch, changed := s.next(beat)
		for _, message := range batch {
			if stream.Send(message) != nil {
				return // Recv gets the reason
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
			beat = false
		case <-due:
			beat = true
		}
	}
}

// next gives what is to be sent, and what is closed when there is more.
func (s *Stream) next(beat bool) (batch []*usherv1.ReportStreamRequest, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.pending[s.sent:] {
		batch = append(batch, &usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Event{Event: e}})
	}
	s.sent = len(s.pending)
	if beat {
		s.last++ // one series for both
		s.beats = append(s.beats, s.last)
		heartbeat := &usherv1.Heartbeat{Sequence: s.last, LeaseTokens: s.held.tokens()}
		batch = append(batch, &usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{Heartbeat: heartbeat}})
	}
	return batch, s.changed
}

// acked says whether events must be sent again, under new sequences.
func (s *Stream) acked(ack *usherv1.Ack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	var again []*usherv1.ReportEvent
	for ; n < len(s.pending) && s.pending[n].Sequence <= ack.ThroughSequence; n++ {
		if refusedFor(ack, s.pending[n].Sequence) == usherv1.NackReason_NACK_REASON_UNAVAILABLE {
			again = append(again, s.pending[n].Event)
		}
	}
	s.pending, s.sent = s.pending[n:], max(0, s.sent-n)
	for _, e := range again {
		s.last++
		s.pending = append(s.pending, &usherv1.SequencedEvent{Sequence: s.last, Event: e})
	}
	for _, x := range ack.Exceptions {
		if slices.Contains(s.beats, x.Sequence) {
			log.Printf("usher refused a heartbeat: %v", x.Nack) // the next one is due soon
		} else if s.Trouble != nil && (x.Nack != nil || !Settled(x.Result.GetStatus())) {
			s.Trouble(x)
		}
	}
	s.beats = slices.DeleteFunc(s.beats, func(n uint64) bool { return n <= ack.ThroughSequence })
	s.wake()
	return len(again) > 0
}

func refusedFor(ack *usherv1.Ack, sequence uint64) usherv1.NackReason {
	for _, x := range ack.Exceptions {
		if x.Sequence == sequence {
			return x.Nack.GetReason()
		}
	}
	return usherv1.NackReason_NACK_REASON_UNSPECIFIED
}

// Flush waits until everything is acked.
func (s *Stream) Flush(ctx context.Context) error {
	for {
		s.mu.Lock()
		left, changed := len(s.pending), s.changed
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d events are not acked: %w", left, ctx.Err())
		case <-changed:
		}
	}
}

func (s *Stream) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.beats = 0, nil
}

// wake needs mu.
func (s *Stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}
