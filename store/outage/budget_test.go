package outage

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/storetest"
)

// slow is a primary that takes long to answer: it is late with what a Select asks for first.
type slow struct {
	Primary
	clock *storetest.Clock
	by    time.Duration
}

func (s *slow) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	out, err := s.Primary.TakeBound(ctx, take)
	s.clock.Advance(s.by)
	return out, err
}

func (s *slow) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	if !take.Grant.NotAfter.IsZero() && !take.Grant.NotAfter.After(s.clock.Now()) {
		return core.FirstTaken{}, context.DeadlineExceeded // by the machine's clock no time has passed
	}
	out, err := s.Primary.TakeFirst(ctx, take)
	s.clock.Advance(s.by)
	return out, err
}

// behind gives a store whose primary is so slow.
func (d *drill) behind(by time.Duration, mode Mode) *Store {
	d.Helper()
	s := New(Options{Primary: &slow{Primary: d.all[0].primary, clock: d.clock, by: by}, Clock: d.clock, Mode: mode})
	d.Cleanup(func() {
		if err := s.Close(); err != nil {
			d.Error(err)
		}
	})
	if err := s.Register(d.Context(), &d.roster); err != nil {
		d.Fatal(err)
	}
	return s
}

// TestTimeIsUsedUp: who waited for the store until a Select's time was over is served from the island.
func TestTimeIsUsedUp(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	d.seen()
	s := d.behind(time.Second, LocalShare)
	d.server.SetError("LOADING Redis is loading the dataset in memory")
	take := budgeted(d.clock.Now().Add(time.Millisecond))
	if out, err := s.TakeFirst(t.Context(), take); err != nil || out.Status != core.FirstTook {
		t.Errorf("took %+v, %v", out, err)
	}
}

func budgeted(notAfter time.Time) *core.FirstTake {
	return &core.FirstTake{
		Grant: core.Grant{ID: core.LeaseID{9}, TTL: leaseTTL, NotAfter: notAfter, Budgeted: true}, Order: []core.Choice{{}},
	}
}

// TestAnsweredTooLate: that the server would not carry a take out any more is as if it had not answered; that its caller's own time
// is over is not.
func TestAnsweredTooLate(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	s := d.all[0]
	d.seen()
	take := budgeted(d.clock.Now().Add(-time.Second))
	take.Grant.Budgeted = false
	if _, err := s.TakeFirst(t.Context(), take); !errors.Is(err, context.DeadlineExceeded) || s.Degraded() {
		t.Errorf("a take whose caller's time is over: %v, degraded %v", err, s.Degraded())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	take.Grant.Budgeted = true
	if err := late(ended, &take.Grant, context.DeadlineExceeded); unavailable(err) {
		t.Errorf("a take whose caller is gone: %v", err)
	}
	if out, err := s.TakeFirst(t.Context(), take); err != nil || out.Status != core.FirstTook || !s.Degraded() {
		t.Errorf("a take whose budget is used up: %+v, %v, degraded %v", out, err, s.Degraded())
	}
}

// TestFirstTakeUsedTheBudgetUp: what a Select asks for first leaves nothing for what it asks for then. The answer is the island's,
// under fail_closed an error.
func TestFirstTakeUsedTheBudgetUp(t *testing.T) {
	for _, mode := range Modes() {
		t.Run(mode.String(), func(t *testing.T) {
			d := newDrill(t, 1, Options{}, 4)
			d.seen()
			s := d.behind(60*time.Millisecond, mode)
			scheduler, err := core.New(t.Context(), core.Options{
				Store: s, Clock: d.clock, Entropy: func() uint64 { return 4 }, StoreBudget: 50 * time.Millisecond, Degraded: s.Degraded, Shared: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = scheduler.Close(context.Background()) }()
			if err := scheduler.Apply(t.Context(), []pool.Account{{ID: "a", MaxConcurrency: 4}}, decide.Recommended()); err != nil {
				t.Fatal(err)
			}
			answer, err := scheduler.Select(t.Context(), &core.Request{})
			switch {
			case mode == FailClosed:
				if core.KindOf(err) != core.KindStoreUnavailable || err == nil {
					t.Errorf("error %v", err)
				}
			case err != nil || answer.Selection == nil || !answer.Decision.Degraded:
				t.Errorf("answered %+v, %v", answer, err)
			}
		})
	}
}
