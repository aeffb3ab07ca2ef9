package gateway

import (
	"context"
	"log"
	"sync"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	reportDeadline = 2 * time.Second
	maxBatch       = 256  // events that one Report may carry
	maxKept        = 8192 // events that wait for usher to come back
)

// Reports delivers events over Report, and keeps those that cannot be delivered while usher is
// away. It is safe for concurrent use.
type Reports struct {
	usher usherv1.SchedulerServiceClient

	mu   sync.Mutex
	kept []*usherv1.ReportEvent // guarded by mu: not delivered yet, oldest first
}

// Send delivers events, those that were kept before them first. While usher is away they are
// kept: sending them again is safe, since each kind of event counts once a lease.
func (r *Reports) Send(events ...*usherv1.ReportEvent) {
	r.Keep(events...)
	for {
		r.mu.Lock()
		batch := r.kept[:min(len(r.kept), maxBatch)]
		r.kept = r.kept[len(batch):]
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if err := r.deliver(batch); err != nil {
			r.Keep(batch...)
			return
		}
	}
}

// deliver fails only when usher is away. A refused Report was applied in no part: the events go
// one by one then, so that a bad one does not take the others with it.
func (r *Reports) deliver(batch []*usherv1.ReportEvent) error {
	// Not the caller's context: its end must not keep a slot taken.
	ctx, cancel := context.WithTimeout(context.Background(), reportDeadline)
	defer cancel()
	resp, err := r.usher.Report(ctx, &usherv1.ReportRequest{Events: batch})
	switch {
	case away(err):
		return err
	case err != nil && len(batch) == 1:
		log.Printf("usher refused an event: %s", Explain(err))
	case err != nil:
		for _, event := range batch {
			if err := r.deliver([]*usherv1.ReportEvent{event}); err != nil {
				return err
			}
		}
	}
	lost := 0
	for _, result := range resp.GetResults() {
		if !Settled(result.Status) {
			lost++
		}
	}
	if lost > 0 {
		log.Printf("usher has no lease for %d of %d events", lost, len(batch))
	}
	return nil
}

// Keep puts events aside for the next Send. When there are too many the oldest go: their
// leases end by lease_ttl.
func (r *Reports) Keep(events ...*usherv1.ReportEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, events...)
	r.kept = r.kept[max(0, len(r.kept)-maxKept):]
}

// Settled says that usher has what an event told, now or from before.
func Settled(s usherv1.ReportStatus) bool {
	switch s {
	case usherv1.ReportStatus_REPORT_STATUS_LEASE_UNKNOWN, usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID:
		return false
	default:
		return true
	}
}
