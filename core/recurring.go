package core

import "context"

// recurring is what the scheduler does again and again by itself. The log has one line when that begins to fail and one when it works
// again, but none for a store that is out of reach: who goes on without it says so.
type recurring struct {
	*Scheduler
	fails, works string
	failing      bool
}

// ended tells of the error of one time, or of none, until ctx ends.
func (r *recurring) ended(ctx context.Context, err error) {
	failing := err != nil
	if failing == r.failing || ctx.Err() != nil || KindOf(err) == KindStoreUnavailable && r.degraded() {
		return
	}
	if r.failing = failing; failing {
		r.logger.Warn(r.fails, "error", err)
	} else {
		r.logger.Info(r.works)
	}
}
