package server

import (
	"context"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// Owners is what report streams need of those who hold leases. core.Scheduler has it.
type Owners interface {
	// Attach makes a stream the owner's one; an older one of the same incarnation ends. It may block for ctx's time; safe
	// for concurrent use. Errors are *core.Error or ctx's.
	Attach(ctx context.Context, owner core.Owner, replacesPrevious bool) (*core.Attachment, error)
	// OwnerTerms are told to clients. It does not block; safe for concurrent use.
	OwnerTerms() core.OwnerTerms
	// EndAttachments ends all of them, and lets nobody attach any more; no lease ends for silence from then on. It does
	// not block; safe for concurrent use; idempotent.
	EndAttachments()
}

var _ Owners = (*core.Scheduler)(nil)

// attachment is a stream's hold on its owner: core.Attachment, or nothing.
type attachment interface {
	// Heartbeat takes a sign of life with the leases held. It may block for ctx's time; not for concurrent use.
	Heartbeat(ctx context.Context, tokens []string) error
	// Done is closed when another stream took over or nobody serves any more. It does not block.
	Done() <-chan struct{}
	// Ready has a token when Take has something. It does not block.
	Ready() <-chan struct{}
	// Take gives what the owner is to be told. It does not block.
	Take() ([]core.OwnerEvent, error)
	// Detach gives it up; idempotent. It does not block.
	Detach()
}

// unattached is a stream whose owner nobody looks after.
type unattached struct{}

func (unattached) Heartbeat(context.Context, []string) error { return nil }
func (unattached) Done() <-chan struct{}                     { return nil }
func (unattached) Ready() <-chan struct{}                    { return nil }
func (unattached) Take() ([]core.OwnerEvent, error)          { return nil, nil }
func (unattached) Detach()                                   {}

// attach greets an owner: its attachment, and the terms of the stream.
func (s *Server) attach(ctx context.Context, hello *usherv1.ClientHello) (attachment, *usherv1.ServerHello, error) {
	out := &usherv1.ServerHello{MarkTtl: span(s.opts.MarkTTL)}
	if s.opts.Owners == nil {
		return unattached{}, out, nil
	}
	a, err := s.opts.Owners.Attach(ctx, ownerFrom(hello.GetOwner()), hello.GetReplacesPrevious())
	if err != nil {
		return nil, nil, s.statusError(ctx, err)
	}
	terms := s.opts.Owners.OwnerTerms()
	out.HeartbeatInterval = span(terms.HeartbeatInterval)
	out.HeartbeatTimeout = span(terms.HeartbeatTimeout)
	out.OwnerGrace = span(terms.OwnerGrace)
	return a, out, nil
}

// tell sends what the owner is to be told. That the attachment has ended is nothing to tell: run sees it.
func (r *reportStream) tell() error {
	events, _ := r.owner.Take()
	for i := range events {
		message := ownerEventTo(&events[i])
		if message == nil {
			r.overflow()
			continue
		}
		if err := r.stream.Send(message); err != nil {
			return err
		}
	}
	return nil
}

// ownerEventTo gives nil for an overflow: the stream ends, and the heartbeats of the next one make the rest known.
func ownerEventTo(e *core.OwnerEvent) *usherv1.ReportStreamResponse {
	switch e.Kind {
	case core.OwnerLeaseLost:
		return &usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_LeaseLost{
			LeaseLost: &usherv1.LeaseLost{LeaseToken: e.Token, Reason: leaseEndTo(e.End)},
		}}
	case core.OwnerAccountState:
		return &usherv1.ReportStreamResponse{Message: &usherv1.ReportStreamResponse_AccountState{
			AccountState: &usherv1.AccountStateChange{
				AccountId: e.Account, State: stateTo(e.State), BlockedReason: reasonTo(e.Blocked), BlockedUntil: stamp(e.BlockedUntil),
			},
		}}
	case core.OwnerOverflow:
	}
	return nil
}

func leaseEndTo(e core.LeaseEnd) usherv1.LeaseEnd {
	switch e {
	case core.LeaseEndExpired:
		return usherv1.LeaseEnd_LEASE_END_EXPIRED
	case core.LeaseEndOwnerSilent:
		return usherv1.LeaseEnd_LEASE_END_OWNER_SILENT
	case core.LeaseEndForgotten:
		return usherv1.LeaseEnd_LEASE_END_FORGOTTEN
	case core.LeaseEndReplaced:
		return usherv1.LeaseEnd_LEASE_END_REPLACED
	case core.LeaseEndMaxAge:
		return usherv1.LeaseEnd_LEASE_END_MAX_AGE
	case core.LeaseEndOperator:
		return usherv1.LeaseEnd_LEASE_END_OPERATOR
	}
	return usherv1.LeaseEnd_LEASE_END_UNSPECIFIED
}
