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
