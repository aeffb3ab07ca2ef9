package outage

import (
	"context"
	"encoding/base64"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// severed is a primary that one replica alone loses the way to.
type severed struct {
	Primary
	away atomic.Bool
}

func (p *severed) Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error {
	if p.away.Load() {
		return &core.Error{Kind: core.KindStoreUnavailable, Text: "the way is cut"}
	}
	return p.Primary.Loads(ctx, ordinals, loads)
}

// cut is a drill of two replicas, the first of which loses its way to the server.
type cut struct {
	*drill
	way  *severed
	a, b *Store
}

func newCut(t *testing.T, opts Options, limits ...int) *cut {
	t.Helper()
	d := newDrill(t, 2, opts, limits...)
	c := &cut{drill: d, way: &severed{Primary: d.all[0].primary}, b: d.all[1]}
	opts.Primary, opts.Clock = c.way, d.clock
	c.a = New(opts)
	t.Cleanup(func() {
		if err := c.a.Close(); err != nil {
			t.Error(err)
		}
	})
	roster := d.roster
	if err := c.a.Register(t.Context(), &roster); err != nil {
		t.Fatal(err)
	}
	d.all[0] = c.a
	d.seen()
	return c
}

func (c *cut) sever() {
	c.Helper()
	c.way.away.Store(true)
	c.a.fail(errors.New("the way is cut"))
	if !c.a.Degraded() {
		c.Fatal("not on its own")
	}
}

func (c *cut) heal() {
	c.Helper()
	c.way.away.Store(false)
	c.until("it is shared again", func() bool { return !c.a.Degraded() })
}

func (c *cut) renewAt(s *Store, l core.Lease) {
	c.Helper()
	results := make([]core.Renewed, 1)
	if err := s.Renew(c.Context(), []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt}}, results); err != nil || results[0].Status != core.EventApplied {
		c.Errorf("renewed with %+v, %v", results[0], err)
	}
}

func (c *cut) endAt(s *Store, leases ...core.Lease) {
	c.Helper()
	var ids []core.LeaseID
	for n := range leases {
		ids = append(ids, leases[n].ID)
	}
	if _, err := s.End(c.Context(), ids, core.LeaseEndOwnerSilent); err != nil {
		c.Error(err)
	}
}

// keptAt gives which leases a replica looks after, by the store's word.
func (c *cut) keptAt(s *Store) map[core.LeaseID]bool {
	c.Helper()
	list, err := s.LeasesOf(c.Context(), "gateway")
	if err != nil {
		c.Fatal(err)
	}
	out := make(map[core.LeaseID]bool)
	for n := range list {
		out[list[n].ID] = !list[n].Elsewhere
	}
	return out
}

// TestSilentWhereItWasCutOff: a gateway that went on at another replica keeps its leases, though the one that was cut off ended them; what
// it let go of ends for all.
func TestSilentWhereItWasCutOff(t *testing.T) {
	c := newCut(t, Options{}, 4)
	c.take(c.a, 0)
	c.take(c.a, 0)
	lives, gone := c.held["a"][0], c.held["a"][1]
	c.sever()
	c.renewAt(c.b, lives)
	c.endAt(c.a, lives, gone)
	if n := c.a.ledger.holds("a"); n != 0 {
		t.Errorf("%d are looked after where they ended", n)
	}
	c.heal()
	c.until("the other is told of what ended", func() bool { return c.inUse(c.b)["a"] == 1 })
	c.pass(5 * time.Second)
	if kept := c.keptAt(c.b); len(kept) != 1 || !kept[lives.ID] {
		t.Errorf("kept: %v", kept)
	}
}

// TestWhoWasCutOffTakesNothingOver that it did not hear of meanwhile: who is silent there is not ended.
func TestWhoWasCutOffTakesNothingOver(t *testing.T) {
	c := newCut(t, Options{}, 4)
	c.take(c.a, 0)
	c.take(c.a, 0)
	moved, stays := c.held["a"][0], c.held["a"][1]
	c.pass(time.Second)
	c.sever()
	c.renewAt(c.b, moved)
	c.pass(time.Second)
	c.renewAt(c.a, stays)
	c.heal()
	if kept := c.keptAt(c.a); len(kept) != 2 || kept[moved.ID] || !kept[stays.ID] {
		t.Errorf("kept: %v", kept)
	}
}

// TestMovedWithinAnOutage: all lose the store, and the gateway goes from one to the other meanwhile. The one where it is silent publishes
// first, and tells of no end before the other has.
func TestMovedWithinAnOutage(t *testing.T) {
	c := newCut(t, Options{}, 4)
	c.take(c.b, 0)
	c.take(c.b, 0)
	lives, gone := c.held["a"][0], c.held["a"][1]
	c.lose()
	results := make([]core.Adopted, 1)
	if err := c.a.Adopt(t.Context(), []core.Adoption{{Lease: lives, TTL: leaseTTL}}, results); err != nil || results[0].Status != core.EventApplied {
		t.Errorf("adopted %+v, %v", results[0], err)
	}
	c.endAt(c.b, lives, gone)
	c.way.away.Store(true)
	c.server.SetError("")
	c.until("the first may publish", func() bool { return c.b.phase.Load().shares != nil })
	looked := c.b.view.Load()
	c.until("it has looked", func() bool { return c.b.view.Load() != looked })
	c.heal()
	c.until("what ended has ended for all", func() bool { return c.inUse(c.b)["a"] == 1 })
	c.pass(5 * time.Second)
	if kept := c.keptAt(c.a); len(kept) != 1 || !kept[lives.ID] {
		t.Errorf("kept: %v", kept)
	}
}

// TestSilentWhileAllPublish: nobody's silence ends a lease before all have said what they look after, nor when it is heard of until then.
func TestSilentWhileAllPublish(t *testing.T) {
	c := newCut(t, Options{}, 4)
	for range 3 {
		c.take(c.a, 0)
	}
	moved, heard, gone := c.held["a"][0], c.held["a"][1], c.held["a"][2]
	c.sever()
	c.way.away.Store(false)
	c.until("all may publish", func() bool { return c.a.phase.Load().shares != nil })
	c.endAt(c.a, moved, heard, gone)
	if n := c.inUse(c.b)["a"]; n != 3 {
		t.Errorf("%d in use before all had published", n)
	}
	c.renewAt(c.b, moved)
	c.renewAt(c.a, heard)
	c.heal()
	c.until("the third has ended", func() bool { return c.inUse(c.b)["a"] == 2 })
	c.pass(5 * time.Second)
	if kept := c.keptAt(c.b); len(kept) != 2 || !kept[moved.ID] || kept[heard.ID] {
		t.Errorf("kept: %v", kept)
	}
}

// TestMarksAreOver: of a lease that was reported elsewhere nothing is known any more when the way is whole again. It is not taken up; what
// the server lost is, and what its gateway speaks of.
func TestMarksAreOver(t *testing.T) {
	const markTTL = 10 * time.Second
	lose := func(c *cut, l core.Lease) {
		id := base64.RawURLEncoding.EncodeToString(l.ID[:])
		before := c.server.Exists(keys + "l:" + id)
		if _, err := c.server.ZRem(keys+"x", id); err != nil || !before || !c.server.Del(keys+"l:"+id) {
			c.Fatal("there is no record")
		}
	}
	for name, test := range map[string]struct {
		meanwhile, late func(*cut, core.Lease)
		want            int
	}{
		"reported":    {meanwhile: func(c *cut, _ core.Lease) { c.finishAt(c.b, "a") }},
		"lost memory": {late: func(c *cut, _ core.Lease) { c.server.FlushAll() }, want: 1},
		"heard":       {meanwhile: lose, late: func(c *cut, l core.Lease) { c.renewAt(c.a, l) }, want: 1},
		"granted here": {late: func(c *cut, _ core.Lease) {
			c.finishAt(c.b, "a")
			c.take(c.a, 0)
			c.pass(2 * markTTL)
			c.server.FastForward(2 * markTTL)
		}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCut(t, Options{MarkTTL: markTTL}, 4)
			c.take(c.a, 0)
			l := c.held["a"][0]
			c.pass(time.Second)
			c.sever()
			if test.meanwhile != nil {
				test.meanwhile(c, l)
			}
			c.pass(2 * markTTL)
			c.server.FastForward(2 * markTTL)
			if test.late != nil {
				test.late(c, l)
			}
			c.heal()
			if n := c.inUse(c.b)["a"]; n != test.want || c.a.ledger.holds("a") != test.want {
				t.Errorf("%d in use, %d are looked after, %d are held", n, c.a.ledger.holds("a"), test.want)
			}
		})
	}
}
