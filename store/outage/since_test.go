package outage

import (
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher.internal/core"
)

// TestWhatIsGivenBackIsFree: in an outage an usher that is alone grants again what came back since its last look, and no more.
func TestWhatIsGivenBackIsFree(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	for range 4 {
		d.take(d.all[0], 0)
	}
	d.seen()
	for range 3 {
		d.finish("a")
	}
	d.take(d.all[0], 0)
	d.lose()
	if n := d.takeAll(0); n != 4 {
		t.Errorf("%d of 4 held when it took what it might", n)
	}
	d.finish("a")
	if err := d.all[0].Register(t.Context(), &d.roster); err != nil {
		t.Fatal(err)
	}
	if n := d.takeAll(0); n != 4 {
		t.Errorf("%d of 4 held after the accounts were told again", n)
	}
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 4 {
		t.Errorf("%d in use afterwards", n)
	}
}

// TestWhatIsGivenBackMayBeOthers where there are others.
func TestWhatIsGivenBackMayBeOthers(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	for range 4 {
		d.take(d.all[0], 0)
	}
	d.seen()
	d.finish("a")
	d.finish("a")
	d.take(d.all[1], 0)
	d.take(d.all[1], 0)
	d.lose()
	if n := d.takeAll(0); n != 4 {
		t.Errorf("%d of 4 held when each took what it might", n)
	}
}

// TestLeasesOfWhoIsGoneStand for one that is alone since.
func TestLeasesOfWhoIsGoneStand(t *testing.T) {
	d := newDrill(t, 2, Options{}, 6)
	for range 2 {
		d.take(d.all[1], 0)
	}
	if err := d.all[1].Close(); err != nil {
		t.Fatal(err)
	}
	d.all = d.all[:1]
	for range 3 {
		d.take(d.all[0], 0)
	}
	d.seen()
	if n := d.inUse(d.all[0])["a"]; n != 5 {
		t.Fatalf("%d in use", n)
	}
	d.held["a"] = d.held["a"][2:]
	d.finish("a")
	d.take(d.all[0], 0)
	d.lose()
	if n := d.takeAll(0); n != 4 {
		t.Errorf("%d held besides 2 of 6", n)
	}
}

// TestSinceIsExact: what was in use at a look, and changed here since, is what is in use; whoever else has how much.
func TestSinceIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := newLedger(), time.Unix(1_700_000_000, 0)
		others := rapid.IntRange(0, 3).Draw(t, "others")
		var held []core.LeaseID
		made, seen, look := uint64(0), 0, uint64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 4).Draw(t, "step"); {
			case step < 2:
				made++
				var id core.LeaseID
				binary.BigEndian.PutUint64(id[:], made)
				l.note(core.Lease{ID: id, Account: "a", ExpiresAt: now.Add(time.Hour)}, core.RequestKey{}, time.Hour, time.Time{}, false)
				held = append(held, id)
			case step < 4 && len(held) > 0:
				n := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				l.release(held[n], core.RequestKey{}, l.lastSeen())
				held = append(held[:n], held[n+1:]...)
			case step == 4:
				look, seen = l.look(), others+len(held)
				l.saw(look)
			}
			if h := l.since(look)["a"]; look > 0 && (seen+h.took-h.gave != others+len(held) || h.held != len(held)) {
				t.Fatalf("%d seen, %+v since, %d held and %d others'", seen, h, len(held), others)
			}
		}
	})
}

// TestEndsThatALookOvertakes: what the store may have been told before a look is not taken for free a second time.
func TestEndsThatALookOvertakes(t *testing.T) {
	l := newLedger()
	l.note(core.Lease{ID: core.LeaseID{1}, Account: "a"}, core.RequestKey{7}, time.Hour, time.Time{}, false)
	l.note(core.Lease{ID: core.LeaseID{2}, Account: "a"}, core.RequestKey{}, time.Hour, time.Time{}, false)
	l.saw(l.look())
	told := l.lastSeen()
	next := l.look()
	l.note(core.Lease{ID: core.LeaseID{3}, Account: "a"}, core.RequestKey{}, time.Hour, time.Time{}, false)
	l.release(core.LeaseID{}, core.RequestKey{7}, told) // the last view is of before it
	if h := l.since(told)["a"]; h != (holding{held: 2, took: 1, gave: 1}) {
		t.Errorf("%+v", h)
	}
	if h := l.since(next)["a"]; h != (holding{held: 2, took: 1}) {
		t.Errorf("%+v of a view that is not taken down", h)
	}
	l.saw(next)
	l.release(core.LeaseID{2}, core.RequestKey{}, told)         // before the look, as far as is known
	l.release(core.LeaseID{3}, core.RequestKey{}, l.lastSeen()) // not seen, as far as is known
	if h := l.since(next)["a"]; h != (holding{}) {
		t.Errorf("%+v", h)
	}
}
