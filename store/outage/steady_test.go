package outage

import (
	"testing"
	"time"
)

// TestSteadiness: the first answer ends an outage, unless another one was over just before.
func TestSteadiness(t *testing.T) {
	var s steadiness
	now := time.Unix(1000, 0)
	// outage gives how long the primary must answer until an outage ends that begins so long after the one before.
	outage := func(after time.Duration) time.Duration {
		now = now.Add(after)
		s.begin(now)
		for _, lost := range []bool{true, false} {
			s.failed()
			if s.answered(now) && s.wanted > 0 {
				t.Error("it ended with the first answer")
			}
			if lost && s.wanted > 0 {
				now = now.Add(s.wanted - 1) // what was answered before it was gone once more does not count
			}
		}
		began := now
		for !s.answered(now) {
			now = now.Add(time.Millisecond)
		}
		s.end(now)
		return now.Sub(began)
	}
	for n, want := range []time.Duration{0, steadyFirst, 2 * steadyFirst, 4 * steadyFirst, steadyMost, steadyMost} {
		if got := outage(calm - 1); got != want {
			t.Errorf("outage %d: %v, want %v", n, got, want)
		}
	}
	if got := outage(calm); got != 0 {
		t.Errorf("after a calm: %v", got)
	}
	if got := outage(0); got != steadyFirst {
		t.Errorf("and at once: %v", got)
	}
}

// TestPrimaryThatComesAndGoes: an outage that follows on another lasts until the primary has answered for a while.
func TestPrimaryThatComesAndGoes(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	d.seen()
	onIsland := func() bool { return d.all[0].phase.Load().island != nil }
	for n, want := range []time.Duration{0, steadyFirst, 2 * steadyFirst} {
		d.server.SetError("LOADING Redis is loading the dataset in memory")
		d.until("an outage begins", onIsland)
		d.server.SetError("")
		back := d.clock.Now()
		d.until("the outage ends", func() bool { return !onIsland() })
		if took := d.clock.Now().Sub(back); took < want {
			t.Errorf("outage %d was over after %v, want %v at least", n, took, want)
		}
	}
}

// TestOutageAfterAnother: what was taken during an outage is not shared out again by the next one, by a look of before both.
func TestOutageAfterAnother(t *testing.T) {
	const limit = 9
	d := newDrill(t, 3, Options{}, limit)
	d.seen()
	all := func(is func(p *phase) bool) func() bool {
		return func() bool {
			for _, s := range d.all {
				if !is(s.phase.Load()) {
					return false
				}
			}
			return true
		}
	}
	for n := range 3 {
		if n > 0 {
			for _, s := range d.all {
				s.view.Store(&view{inUse: map[string]int{"a": 0}})
			}
		}
		d.server.SetError("LOADING Redis is loading the dataset in memory")
		d.until("all are on their own", all(func(p *phase) bool { return p.island != nil }))
		if held := d.takeAll(0); held != limit {
			t.Errorf("outage %d: %d are held", n, held)
		}
		d.server.SetError("")
		d.until("none is on its own", all(func(p *phase) bool { return p.island == nil }))
	}
	d.back()
	if held := d.takeAll(0); held != limit {
		t.Errorf("%d are held at last", held)
	}
}
