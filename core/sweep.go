package core

import (
	"context"
	"time"
)

// sweepStep bounds what one call to the store ends.
const sweepStep = 1000

// sweep ends what is over, until ctx ends.
func (s *Scheduler) sweep(ctx context.Context, every time.Duration) {
	news := recurring{Scheduler: s, fails: "the sweep fails; it goes on trying", works: "the sweep works again"}
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
		news.ended(ctx, err)
	}
}

// sweepOnce ends what is over. What that frees is handed on in the same step.
func (s *Scheduler) sweepOnce(ctx context.Context) error {
	for {
		var swept Swept
		err := s.line.step(func() (err error) {
			swept, err = s.sweepStep(ctx)
			return err
		}, func() changes { return changes{ended: swept.Expired} })
		if err != nil || !swept.More {
			return err
		}
	}
}

// sweepLocked is sweepOnce for who holds the line's mu already.
func (s *Scheduler) sweepLocked(ctx context.Context) error {
	for {
		swept, err := s.sweepStep(ctx)
		if err != nil {
			return err
		}
		if s.line.endedAtOnce(swept.Expired); !swept.More {
			return nil
		}
	}
}

func (s *Scheduler) sweepStep(ctx context.Context) (Swept, error) {
	s.line.ends.forget()
	swept, err := s.store.Sweep(ctx, sweepStep)
	if err != nil {
		return Swept{}, err
	}
	if !swept.Next.IsZero() {
		s.line.noteEnd(swept.Next)
	}
	s.counters.leasesExpired(len(swept.Expired))
	for i := range swept.Expired {
		s.lost(&swept.Expired[i], s.expiry(&swept.Expired[i]))
	}
	return swept, nil
}

// expiry tells a lease that reached the greatest age from one whose lifetime ran out.
func (s *Scheduler) expiry(l *Lease) LeaseEnd {
	if s.maxAge > 0 && !l.ExpiresAt.Before(l.GrantedAt.Add(s.maxAge)) {
		return LeaseEndMaxAge
	}
	return LeaseEndExpired
}
