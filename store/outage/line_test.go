package outage

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// hall is a drill of one replica, whose one account has two slots, with a scheduler before it.
type hall struct {
	*drill
	*core.Scheduler
	stood int
}

func newHall(t *testing.T) *hall {
	t.Helper()
	d := newDrill(t, 1, Options{}, 2)
	s := d.all[0]
	scheduler, err := core.New(t.Context(), core.Options{
		Store: s, Clock: d.clock, Entropy: func() uint64 { return 4 }, Degraded: s.Degraded, Shared: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scheduler.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	policy := decide.Recommended()
	policy.FallbackWait.Timeout = time.Hour
	if err := scheduler.Apply(t.Context(), []pool.Account{{ID: "a", MaxConcurrency: 2}}, policy); err != nil {
		t.Fatal(err)
	}
	d.seen()
	return &hall{drill: d, Scheduler: scheduler}
}

func (h *hall) ask(r core.Request) *core.Answer {
	answer, err := h.Select(h.Context(), &r)
	if err != nil {
		h.Error(err)
		return &core.Answer{}
	}
	return answer
}

// stand has so many more stand in line; each says which it was, and its token.
func (h *hall) stand(n int, served chan<- *core.Answer) {
	h.Helper()
	for range n {
		h.stood++
		want := h.stood
		go func() { served <- h.ask(core.Request{Wait: time.Hour}) }()
		h.until("he stands in line", func() bool {
			u, err := h.all[0].Usage(h.Context(), "")
			return err == nil && u.Waiting == want
		})
	}
}

func (h *hall) finish(token string) {
	h.Helper()
	results, err := h.Report(h.Context(), []core.Event{{Kind: core.EventFinished, Token: token, Outcome: core.OutcomeSuccess}})
	if err != nil || results[0].Status != core.EventApplied {
		h.Fatalf("finished as %+v, %v", results, err)
	}
}

// TestNobodyPassesTheLine: who asks just when a slot comes free finds none while others wait, whether they joined before the outage or
// during it, and likewise after it.
func TestNobodyPassesTheLine(t *testing.T) {
	h := newHall(t)
	one, two := h.ask(core.Request{}).Selection, h.ask(core.Request{}).Selection
	if one == nil || two == nil {
		t.Fatal("two slots are free, and were not taken")
	}
	served := make(chan *core.Answer)
	next := func(held []string) []string {
		t.Helper()
		h.finish(held[0])
		for range 3 {
			if got := h.ask(core.Request{}).Selection; got != nil {
				t.Errorf("a newcomer passed those who wait")
				h.finish(got.Token)
			}
		}
		answer := <-served
		h.stood--
		if answer.Selection == nil {
			t.Fatalf("who waited got %+v", answer.Refusal)
		}
		return append(held[1:], answer.Selection.Token)
	}
	held := []string{one.Token, two.Token}
	h.stand(3, served)
	held = next(held)
	h.lose()
	held = next(held)
	h.stand(3, served)
	held = next(next(held))
	h.back()
	held = next(next(held))
	h.until("nobody waits", func() bool {
		u, err := h.all[0].primary.Usage(h.Context(), "")
		return err == nil && u.Waiting == 0
	})
	h.finish(held[0])
	if h.ask(core.Request{}).Selection == nil {
		t.Error("what comes free is kept though nobody waits")
	}
}

// wait has one wait for an account.
func (d *drill) wait(n int, account string) {
	d.Helper()
	out, err := d.all[0].Join(d.Context(), &core.Waiter{ID: waiter(n), Account: account, TTL: time.Hour, AccountCap: 9})
	if err != nil || out.Status != core.JoinedLine {
		d.Errorf("joined with %+v, %v", out, err)
	}
}

// wantWaiting wants so many to wait for accounts a and b.
func (d *drill) wantWaiting(when string, s core.Store, a, b int32) {
	d.Helper()
	if all, onA, onB := d.waiting(s); onA != a || onB != b || all != int(a+b) {
		d.Errorf("%s %d wait, for a and b %d and %d, want %d and %d", when, all, onA, onB, a, b)
	}
}

// untilWaiting wants it to come to that: a server that lost its memory is told of who waits by the store and by what stands before it,
// and of who leaves meanwhile once more.
func (d *drill) untilWaiting(when string, s core.Store, a, b int32) {
	d.Helper()
	d.until(when+" so many wait", func() bool {
		all, onA, onB := d.waiting(s)
		return onA == a && onB == b && all == int(a+b)
	})
}

func (d *drill) waiting(s core.Store) (all int, a, b int32) {
	d.Helper()
	var loads [2]decide.Load
	u, err := s.Usage(d.Context(), "")
	if err == nil {
		err = s.Loads(d.Context(), []int32{0, 1}, loads[:])
	}
	if err != nil {
		d.Fatal(err)
	}
	return u.Waiting, loads[0].Waiting, loads[1].Waiting
}

// TestLineGoesOn: an outage begins with who waits, and the primary counts afterwards who does then, whether its memory is lost or not.
func TestLineGoesOn(t *testing.T) {
	for name, lost := range map[string]bool{"kept": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			d := newDrill(t, 1, Options{}, 4, 4)
			s := d.all[0]
			act := func(err error) {
				t.Helper()
				if err != nil {
					t.Error(err)
				}
			}
			for n := range 3 {
				d.wait(n, "a")
			}
			d.seen()
			d.lose()
			d.wantWaiting("at first", s, 3, 0)
			d.wait(0, "a") // it waits already
			d.wait(3, "a")
			d.wait(4, "a")
			act(s.Leave(t.Context(), waiter(1)))
			act(s.Leave(t.Context(), waiter(4)))
			act(s.Move(t.Context(), waiter(2), "b"))
			d.wantWaiting("during the outage", s, 2, 1)
			if lost {
				d.server.FlushAll()
			}
			d.back()
			d.untilWaiting("afterwards", s.primary, 2, 1)
			act(s.Move(t.Context(), waiter(3), "b"))
			act(s.Leave(t.Context(), waiter(0)))
			d.untilWaiting("then", s.primary, 0, 2)
			if lost { // and nobody noticed
				d.server.FlushAll()
				d.until("they are counted again", func() bool {
					u, err := s.primary.Usage(t.Context(), "")
					return err == nil && u.Waiting == 2
				})
			}
			act(s.Leave(t.Context(), waiter(2)))
			d.untilWaiting("at last", s.primary, 0, 1)
			d.pass(time.Hour + patience) // who is counted again has what was left when that was asked for
			d.untilWaiting("when its time is over", s.primary, 0, 0)
			if left := s.line.living(d.clock.Now(), true); len(left) > 0 || len(s.line.waiters) > 0 {
				t.Errorf("%v are remembered", left)
			}
		})
	}
}

// TestLineThatAnOutageOvertakes: what the primary answers about who waits when an outage has begun is the island's, too.
func TestLineThatAnOutageOvertakes(t *testing.T) {
	o := newOvertaken(t, Options{}, 4, 4)
	o.next()
	o.wait(0, "a")
	o.wantWaiting("when it joined", o.s, 1, 0)
	o.back()
	o.next()
	if err := o.s.Move(t.Context(), waiter(0), "b"); err != nil {
		t.Error(err)
	}
	o.wantWaiting("when it moved", o.s, 0, 1)
	o.back()
	o.next()
	if err := o.s.Leave(t.Context(), waiter(0)); err != nil {
		t.Error(err)
	}
	o.wantWaiting("when it left", o.s, 0, 0)
	o.back()
	o.wantWaiting("afterwards", o.s, 0, 0)
}

// TestWhoLeavesWhileThePrimaryIsTold is not counted.
func TestWhoLeavesWhileThePrimaryIsTold(t *testing.T) {
	o := newOvertaken(t, Options{}, 4, 4)
	o.wait(0, "a")
	leaves := func() {
		if err := o.s.Leave(context.Background(), waiter(0)); err != nil {
			t.Error(err)
		}
	}
	o.primary.next.Store(&leaves)
	if err := o.s.rejoin(t.Context(), true); err != nil {
		t.Error(err)
	}
	o.wantWaiting("then", o.s, 0, 0)
}

// TestLineIsFirstOnTheIsland: what came free just before an outage is for those who wait, and they are told of it.
func TestLineIsFirstOnTheIsland(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	s := d.all[0]
	for range 4 {
		d.take(s, 0)
	}
	d.seen()
	d.wait(0, "a")
	d.finish("a")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	signals, err := s.Signals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.server.SetError("LOADING Redis is loading the dataset in memory")
	s.fail(errors.New("it is away"))
	if d.take(s, 0) {
		t.Error("a newcomer passed who waits")
	}
	if got := <-signals; got != (core.Signal{Kind: core.SignalFreed, Account: "a"}) {
		t.Errorf("heard %+v", got)
	}
	out, err := s.TakeFirst(t.Context(), &core.FirstTake{Grant: core.Grant{ID: core.LeaseID{9}, TTL: leaseTTL, InLine: true}, Order: []core.Choice{{}}})
	if err != nil || out.Status != core.FirstTook {
		t.Errorf("who waits took %+v, %v", out, err)
	}
}
