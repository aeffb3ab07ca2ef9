package core_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
)

// TestOutageEndsNothing: while the store fails, living owners lose nothing and silent ones wait; then all goes on, with two lines in the log.
func TestOutageEndsNothing(t *testing.T) {
	f, log := &flaky{}, &lines{}
	withOwners(t, plain(1, 0), func(h *house) {
		living, silent := h.attach("living", "1", false), h.attach("silent", "1", false)
		kept, lost := h.takes(ofOwner("living", "1"), 2), h.takes(ofOwner("silent", "1"), 3)
		h.beat(living, kept[0])
		f.broken.Store(true)
		for range 20 {
			isKind(t, living.Heartbeat(context.Background(), kept[:1]), core.KindStoreUnavailable)
			later(3 * time.Second)
		}
		h.inUse(5)
		if _, err := h.Attach(context.Background(), core.Owner{Name: "living", Incarnation: "2"}, true); err == nil {
			t.Error("attached, and replaced nothing")
		}
		if n := h.state().OwnersAttached; n != 2 || strings.Contains(string(h.ExportState()), `"2"`) {
			t.Errorf("%d owners attached, known: %s", n, h.ExportState())
		}
		f.broken.Store(false)
		later(time.Second)
		h.inUse(2)
		h.hearsLost(silent, core.LeaseEndOwnerSilent, lost...)
		h.beat(living, kept[0]) // the ones that failed do not count
		h.inUse(2)
		h.beat(living, kept[0])
		h.hearsLost(living, core.LeaseEndForgotten, kept[1])
		if log.count("cannot be looked after") != 1 || log.count("looked after again") != 1 {
			t.Errorf("logged %s", log.text.String())
		}
	}, wrap(f), logged(log))
}

// TestReturnDuringOutage: an owner that comes back before the store does keeps its leases.
func TestReturnDuringOutage(t *testing.T) {
	f := &flaky{}
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("back", "1", false)
		tokens := h.takes(ofOwner("back", "1"), 2)
		a.Detach()
		f.broken.Store(true)
		later(time.Minute)
		a = h.attach("back", "1", false)
		f.broken.Store(false)
		h.beats(a, time.Minute, tokens...)
		h.inUse(2)
	}, wrap(f))
}

// TestReturnWhileAsked: an owner that comes back while its leases are looked up keeps them.
func TestReturnWhileAsked(t *testing.T) {
	f := &flaky{}
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("back", "1", false)
		tokens := h.takes(ofOwner("back", "1"), 2)
		h.beat(a, tokens...)
		later(19 * time.Second)
		comes := func() { a.Detach(); a = h.attach("back", "1", false) }
		f.asked.Store(&comes)
		later(time.Second)
		if f.asked.Load() != nil {
			t.Error("nobody asked")
		}
		h.beats(a, time.Minute, tokens...)
		h.inUse(2)
	}, wrap(f))
}

// TestGrantedWhileAsked: a lease that was granted after a heartbeat came is not missing from it, though it is listed by then.
func TestGrantedWhileAsked(t *testing.T) {
	f := &flaky{}
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("quick", "1", false)
		synctest.Wait()
		grants := func() {
			later(time.Millisecond)
			h.take(ofOwner("quick", "1"))
		}
		f.asking.Store(&grants)
		h.beat(a)
		h.beat(a)
		h.inUse(1)
		h.beat(a)
		h.inUse(0)
	}, wrap(f))
}

// TestTakenOverWhileAsked: what an old stream's heartbeat leaves out does not end when a newer stream took over meanwhile.
func TestTakenOverWhileAsked(t *testing.T) {
	f := &flaky{}
	withOwners(t, plain(1, 0), func(h *house) {
		old := h.attach("twice", "1", false)
		token := h.take(ofOwner("twice", "1")).Token
		h.beat(old)
		takes := func() { h.beat(h.attach("twice", "1", false), token) }
		synctest.Wait()
		f.asked.Store(&takes)
		isKind(t, old.Heartbeat(context.Background(), nil), core.KindClosed)
		h.inUse(1)
	}, wrap(f))
}

// TestStateToldAfterOutage: what could not be told is told later.
func TestStateToldAfterOutage(t *testing.T) {
	f := &flaky{}
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("holds", "1", false)
		h.beat(a, h.take(ofOwner("holds", "1")).Token)
		h.hearsLost(a, 0)
		f.broken.Store(true)
		h.apply(plain(0, 0)...)
		h.hearsLost(a, 0)
		f.broken.Store(false)
		later(time.Second)
		if events := h.hears(a); len(events) != 1 || events[0].Account != "a" {
			t.Errorf("heard %+v", events)
		}
	}, wrap(f))
}

// TestStoodStill: time in which this process did not run is nobody's silence.
func TestStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plain(1, 0))
		h.attach("waits", "1", false)
		h.takes(ofOwner("waits", "1"), 2)
		synctest.Wait()
		h.clock.advance(5 * time.Minute)
		synctest.Wait()
		h.inUse(2)
		h.clock.advance(10 * time.Second)
		synctest.Wait()
		h.inUse(0)
	})
}

// TestCloseEndsAttachments: and none can be made any more.
func TestCloseEndsAttachments(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("open", "1", false)
		token := h.take(ofOwner("open", "1")).Token
		for range 2 {
			if err := h.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		<-a.Done()
		isKind(t, a.Err(), core.KindClosed)
		isKind(t, a.Heartbeat(context.Background(), nil), core.KindClosed)
		_, err := a.Next(context.Background())
		isKind(t, err, core.KindClosed)
		a.Detach()
		_, err = h.Attach(context.Background(), core.Owner{Name: "open", Incarnation: "1"}, false)
		isKind(t, err, core.KindClosed)
		later(time.Minute)
		h.inUse(1)
		h.reports(finished(token, core.OutcomeSuccess), core.EventApplied)
	})
}

// TestEndAttachments: an usher that is about to stop ends no lease for silence.
func TestEndAttachments(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		left, a := h.attach("left", "1", false), h.attach("open", "1", false)
		h.takes(ofOwner("left", "1"), 1)
		h.takes(ofOwner("open", "1"), 1)
		left.Detach()
		for range 2 {
			h.EndAttachments()
		}
		isKind(t, a.Err(), core.KindClosed)
		a.Detach()
		_, err := h.Attach(context.Background(), core.Owner{Name: "open", Incarnation: "1"}, false)
		isKind(t, err, core.KindClosed)
		later(time.Minute)
		h.inUse(2)
		again := restarted(h, time.Second, plain(1, 0))
		later(9 * time.Second)
		again.inUse(2)
		later(time.Second)
		again.inUse(0)
	})
}

// TestAttachNeedsOwner: an owner without a name or an incarnation has no leases to look after.
func TestAttachNeedsOwner(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	for _, owner := range []core.Owner{{}, {Name: "x"}, {Incarnation: "1"}} {
		_, err := h.Attach(context.Background(), owner, false)
		isKind(t, err, core.KindInternal)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	a := h.attach("x", "1", false)
	if _, err := a.Next(ended); err != context.Canceled { //nolint:errorlint // the context's own
		t.Errorf("waited and got %v", err)
	}
	if h.OwnerTerms() != (core.OwnerTerms{HeartbeatInterval: 3 * time.Second, HeartbeatTimeout: 10 * time.Second, OwnerGrace: 10 * time.Second}) {
		t.Errorf("terms are %+v", h.OwnerTerms())
	}
}

// TestOwnersAtOnce lets few owners attach, take over, replace, beat, forget, hear and vanish at the same time, and
// then falls silent: nothing stays taken.
func TestOwnersAtOnce(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			store, err := memstore.New(memstore.Options{Secret: make([]byte, 32)})
			if err != nil {
				t.Fatal(err)
			}
			terms := core.OwnerTerms{HeartbeatInterval: 3 * time.Millisecond, HeartbeatTimeout: 10 * time.Millisecond, OwnerGrace: 10 * time.Millisecond}
			h := settle(t, store, plain(3, 40), with(func(o *core.Options) { o.Owners = terms }))
			var gateways sync.WaitGroup
			for n := range 12 {
				gateways.Go(func() { newGateway(h, seed<<8|uint64(n)).live(200) })
			}
			gateways.Wait()
			for n := range uint64(12) {
				newGateway(h, n).say(context.Background()) // one that asked when nobody waited for it any more
			}
			later(time.Second)
			h.inUse(0)
			if n := h.state().OwnersAttached; n != 0 {
				t.Errorf("%d owners attached", n)
			}
		})
	}
}

// gateway is an owner that others are too.
type gateway struct {
	h      *house
	rng    *rand.Rand
	owner  core.Owner
	stream *core.Attachment
	tokens []string
}

func newGateway(h *house, seed uint64) *gateway {
	g := &gateway{h: h, rng: rand.New(rand.NewPCG(seed, 1))}
	g.owner = core.Owner{Name: string(rune('p' + seed%3)), Incarnation: string(rune('0' + seed%4))}
	return g
}

func (g *gateway) live(steps int) {
	ctx := context.Background()
	g.attach(ctx)
	for range steps {
		<-time.After(time.Duration(g.rng.IntN(4)) * time.Millisecond)
		switch g.rng.IntN(10) {
		case 0:
			g.attach(ctx)
		case 1, 2:
			if answer, err := g.h.Select(ctx, &core.Request{Group: "main", Owner: g.owner}); err == nil && answer.Selection != nil {
				g.tokens = append(g.tokens, answer.Selection.Token)
			}
		case 3:
			g.finish(ctx)
		case 4:
			if g.rng.IntN(4) == 0 {
				g.stream.Detach()
			}
		case 5:
			_, _ = g.stream.Take()
		case 6:
			accounts := plain(3, 40)
			accounts[g.rng.IntN(3)].Priority = g.rng.IntN(5)
			_ = g.h.Apply(ctx, accounts[:1+g.rng.IntN(3)], g.h.policy)
		default:
			_ = g.stream.Heartbeat(ctx, g.tokens)
		}
	}
	g.stream.Detach()
}

func (g *gateway) say(ctx context.Context) {
	g.attach(ctx)
	g.stream.Detach()
}

func (g *gateway) attach(ctx context.Context) {
	a, err := g.h.Attach(ctx, g.owner, g.rng.IntN(3) == 0)
	if err != nil {
		g.h.tb.Error(err)
		return
	}
	g.stream = a
}

// finish reports a lease, or forgets to.
func (g *gateway) finish(ctx context.Context) {
	if len(g.tokens) == 0 {
		return
	}
	token := g.tokens[0]
	g.tokens = g.tokens[1:]
	if g.rng.IntN(4) > 0 {
		if _, err := g.h.Report(ctx, []core.Event{finished(token, core.OutcomeSuccess)}); err != nil {
			g.h.tb.Error(err)
		}
	}
}
