package core

import (
	"context"
	"time"
)

// sweepStep bounds what one call to the store ends.
const sweepStep = 1000

// sweep ends what is over, until ctx ends.
func (s *Scheduler) sweep(ctx context.Context, every time.Duration) {
	failing := false
	for {
		fired, stop := s.clock.After(every)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		}
		s.colds.tidy(s.clock.Now(), s.registry.current.Load().policy)
		err := s.sweepOnce(ctx)
		if failing != (err != nil) && ctx.Err() == nil {
			if failing = err != nil; failing {
				s.logger.Warn("the sweep fails; it goes on trying", "error", err)
			} else {
				s.logger.Info("the sweep works again")
			}
		}
	}
}

func (s *Scheduler) sweepOnce(ctx context.Context) error {
	for {
		swept, err := s.store.Sweep(ctx, sweepStep)
		if err != nil {
			return err
		}
		s.counters.leasesExpired(len(swept.Expired))
		if !swept.More {
			return nil
		}
	}
}
