package loadgen

import (
	"maps"
	"slices"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// hold notes a lease, which heartbeats name from now on.
func (r *reports) hold(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[token] = struct{}{}
}

// drop is hold's end.
func (r *reports) drop(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, token)
}

// beat sends heartbeats until the stream ends.
func (r *reports) beat(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for r.heartbeat() == nil {
		select {
		case <-ticker.C:
		case <-r.ended:
			return
		case <-r.received:
			return
		}
	}
}

// heartbeat names what is held. A lease that is finished meanwhile does no harm in it, nor does one that it misses once.
func (r *reports) heartbeat() error {
	r.sending.Lock()
	defer r.sending.Unlock()
	if r.broken != nil {
		return r.broken
	}
	r.sequence++
	r.mu.Lock()
	tokens := slices.Collect(maps.Keys(r.held))
	r.beats[r.sequence] = struct{}{}
	r.mu.Unlock()
	r.broken = r.stream.Send(&usherv1.ReportStreamRequest{Message: &usherv1.ReportStreamRequest_Heartbeat{
		Heartbeat: &usherv1.Heartbeat{Sequence: r.sequence, LeaseTokens: tokens},
	}})
	return r.broken
}

// beatsTaken removes the heartbeats that are acknowledged.
func (r *reports) beatsTaken(through uint64) map[uint64]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := make(map[uint64]bool)
	for sequence := range r.beats {
		if sequence <= through {
			taken[sequence] = true
			delete(r.beats, sequence)
		}
	}
	return taken
}
