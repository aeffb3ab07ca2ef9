package outage

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
)

// hooked is a primary whose next answer about leases comes after something else happened.
type hooked struct {
	Primary
	next atomic.Pointer[func()]
}

func (h *hooked) answered() {
	if f := h.next.Swap(nil); f != nil {
		(*f)()
	}
}

func (h *hooked) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	out, err := h.Primary.TakeBound(ctx, take)
	h.answered()
	return out, err
}

func (h *hooked) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	out, err := h.Primary.TakeFirst(ctx, take)
	h.answered()
	return out, err
}

func (h *hooked) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	err := h.Primary.Settle(ctx, events, results)
	h.answered()
	return err
}

func (h *hooked) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	err := h.Primary.Renew(ctx, renewals, results)
	h.answered()
	return err
}

func (h *hooked) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	ended, err := h.Primary.End(ctx, ids, how)
	h.answered()
	return ended, err
}

func (h *hooked) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	err := h.Primary.Adopt(ctx, adoptions, results)
	h.answered()
	return err
}

func (h *hooked) Join(ctx context.Context, w *core.Waiter) (core.Joined, error) {
	out, err := h.Primary.Join(ctx, w)
	h.answered()
	return out, err
}

func (h *hooked) Move(ctx context.Context, id core.WaiterID, account string) error {
	err := h.Primary.Move(ctx, id, account)
	h.answered()
	return err
}

func (h *hooked) Leave(ctx context.Context, id core.WaiterID) error {
	err := h.Primary.Leave(ctx, id)
	h.answered()
	return err
}

// overtaken is a drill of one replica, each of whose calls may be overtaken by the beginning of an outage.
type overtaken struct {
	*drill
	s       *Store
	primary *hooked
}

func newOvertaken(t *testing.T, opts Options, limits ...int) *overtaken {
	t.Helper()
	o := &overtaken{drill: newDrill(t, 1, Options{}, limits...)}
	o.primary = &hooked{Primary: o.all[0].primary}
	opts.Primary, opts.Clock = o.primary, o.clock
	o.s = New(opts)
	t.Cleanup(func() {
		if err := o.s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := o.s.Register(t.Context(), &o.roster); err != nil {
		t.Fatal(err)
	}
	o.until("it has looked", func() bool { return o.s.view.Load() != nil })
	o.all[0] = o.s
	return o
}

// next has an outage begin before the next answer is there.
func (o *overtaken) next() {
	begin := func() {
		o.server.SetError("LOADING Redis is loading the dataset in memory")
		o.s.fail(errors.New("another call was not answered"))
	}
	o.primary.next.Store(&begin)
}

func (o *overtaken) want(when string, n int) {
	o.Helper()
	if used := o.inUse(o.s)["a"]; used != n {
		o.Errorf("%d in use %s, %d are held", used, when, n)
	}
}

// TestTakesThatAnOutageOvertakes are not handed out: the island does not count them. What they took is given back.
func TestTakesThatAnOutageOvertakes(t *testing.T) {
	first := func(s *Store, grant core.Grant) (core.Lease, error) {
		out, err := s.TakeFirst(context.Background(), &core.FirstTake{Grant: grant, Order: []core.Choice{{}}, Session: core.BindingKey{1}, SessionTTL: time.Hour})
		return out.Lease, err
	}
	takes := map[string]func(*Store, core.Grant) (core.Lease, error){
		"first": first,
		"bound": func(s *Store, grant core.Grant) (core.Lease, error) {
			out, err := s.TakeBound(context.Background(), &core.BoundTake{Grant: grant, Session: core.BindingKey{1}, SessionTTL: time.Hour, Judge: anyFate{}})
			return out.Lease, err
		},
	}
	for name, take := range takes {
		for _, request := range []core.RequestKey{{}, {7}} {
			for _, mode := range Modes() {
				t.Run(name+" "+mode.String(), func(t *testing.T) {
					o := newOvertaken(t, Options{Mode: mode}, 1)
					if before, err := first(o.s, core.Grant{ID: core.LeaseID{1}, TTL: leaseTTL}); err != nil {
						t.Fatal(err)
					} else if _, err = o.s.End(t.Context(), []core.LeaseID{before.ID}, core.LeaseEndOperator); err != nil {
						t.Fatal(err)
					}
					o.next()
					lease, err := take(o.s, core.Grant{ID: core.LeaseID{2}, TTL: leaseTTL, Request: request})
					held := 1
					if mode == FailClosed {
						if held = 0; !unavailable(err) {
							t.Errorf("took %v, %v", lease, err)
						}
					} else {
						if err != nil || lease.ID != another(core.LeaseID{2}, ofIsland) {
							t.Errorf("took %v, %v", lease.ID, err)
						}
						o.want("during the outage", 1)
					}
					o.back()
					o.want("afterwards", held)
					if mode == FailClosed {
						return
					}
					if _, err := o.s.End(t.Context(), []core.LeaseID{lease.ID}, core.LeaseEndOperator); err != nil {
						t.Fatal(err)
					}
					o.want("at the end", 0)
					// The request was never handed out of the primary.
					if lease, err := take(o.s, core.Grant{ID: core.LeaseID{3}, TTL: leaseTTL, Request: request}); err != nil || lease.ID != (core.LeaseID{3}) {
						t.Errorf("took %v again, %v", lease.ID, err)
					}
				})
			}
		}
	}
}

// TestRepeatsThatAnOutageOvertakes give nothing back that others have.
func TestRepeatsThatAnOutageOvertakes(t *testing.T) {
	o := newOvertaken(t, Options{}, 4)
	take := &core.FirstTake{Grant: core.Grant{ID: core.LeaseID{1}, TTL: leaseTTL, Request: core.RequestKey{7}}, Order: []core.Choice{{}}}
	if _, err := o.s.primary.TakeFirst(t.Context(), take); err != nil {
		t.Fatal(err)
	}
	o.next()
	take.Grant.ID = core.LeaseID{2}
	out, err := o.s.TakeFirst(t.Context(), take)
	if err != nil || out.Status != core.FirstTook || out.Lease.ID != another(core.LeaseID{2}, ofIsland) {
		t.Errorf("took %+v, %v", out, err)
	}
	o.back()
	o.want("afterwards", 2)
}

// TestTakesThatAnOutageOvertakesAndEnds: what the island granted meanwhile is not granted twice.
func TestTakesThatAnOutageOvertakesAndEnds(t *testing.T) {
	for held := range 3 {
		o := newOvertaken(t, Options{}, 2)
		whole := func() {
			o.server.SetError("LOADING Redis is loading the dataset in memory")
			o.s.fail(errors.New("another call was not answered"))
			for range held {
				o.take(o.s, 0)
			}
			o.server.SetError("")
			o.until("the outage is over", func() bool { return o.s.phase.Load().shares != nil })
		}
		o.primary.next.Store(&whole)
		if took := o.take(o.s, 0); took != (held < 2) {
			t.Errorf("with %d held took is %v", held, took)
		}
		o.until("what was taken too much is given back", func() bool { return o.inUse(o.s)["a"] == min(held+1, 2) })
		o.back()
		o.want("afterwards", min(held+1, 2))
	}
}

// TestEndsThatAnOutageOvertakes free the slot on the island, too.
func TestEndsThatAnOutageOvertakes(t *testing.T) {
	settle := func(e core.Settlement) func(*overtaken, core.Lease) error {
		return func(o *overtaken, l core.Lease) error {
			if e.Request == (core.RequestKey{}) {
				e.Lease = l.ID
			}
			return o.s.Settle(context.Background(), []core.Settlement{e}, make([]core.Settled, 1))
		}
	}
	for name, end := range map[string]func(*overtaken, core.Lease) error{
		"finished":   settle(core.Settlement{Kind: core.SettleFinished}),
		"by request": settle(core.Settlement{Kind: core.SettleUnused, Request: core.RequestKey{7}}),
		"withdrawn":  settle(core.Settlement{Kind: core.SettleWithdrawn}),
		"end": func(o *overtaken, l core.Lease) error {
			_, err := o.s.End(context.Background(), []core.LeaseID{l.ID}, core.LeaseEndOperator)
			return err
		},
		"renewal of what ended": func(o *overtaken, l core.Lease) error {
			if _, err := o.s.primary.(*hooked).Primary.End(context.Background(), []core.LeaseID{l.ID}, core.LeaseEndOperator); err != nil {
				return err
			}
			return o.s.Renew(context.Background(), []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt}}, make([]core.Renewed, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOvertaken(t, Options{}, 1)
			out, err := o.s.TakeFirst(t.Context(), &core.FirstTake{
				Grant: core.Grant{ID: core.LeaseID{1}, TTL: leaseTTL, Request: core.RequestKey{7}}, Order: []core.Choice{{}},
			})
			if err != nil {
				t.Fatal(err)
			}
			o.next()
			if err := end(o, out.Lease); err != nil {
				t.Fatal(err)
			}
			o.want("during the outage", 0)
			o.back()
			o.want("afterwards", 0)
		})
	}
}

// TestRenewalsThatAnOutageOvertakes are the island's, too, as is what was taken up.
func TestRenewalsThatAnOutageOvertakes(t *testing.T) {
	o := newOvertaken(t, Options{}, 4)
	if !o.take(o.s, 0) {
		t.Fatal("took nothing")
	}
	l := o.held["a"][0]
	o.next()
	results := make([]core.Renewed, 1)
	if err := o.s.Renew(t.Context(), []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt, TTL: 2 * leaseTTL}}, results); err != nil {
		t.Fatal(err)
	}
	on := func(id core.LeaseID) (found core.Lease) {
		list, err := o.s.LeasesOf(t.Context(), "gateway")
		if err != nil {
			t.Fatal(err)
		}
		for n := range list {
			if list[n].ID == id {
				found = list[n]
			}
		}
		return found
	}
	if ends := on(l.ID).ExpiresAt; ends.Before(results[0].ExpiresAt) {
		t.Errorf("ends at %v, renewed until %v", ends, results[0].ExpiresAt)
	}
	o.back()
	o.next()
	l.ID = core.LeaseID{3}
	if err := o.s.Adopt(t.Context(), []core.Adoption{{Lease: l, TTL: leaseTTL}}, make([]core.Adopted, 1)); err != nil {
		t.Fatal(err)
	}
	if on(l.ID).ID != l.ID {
		t.Error("what was taken up is not known")
	}
	o.want("during the outage", 2)
}
