package storetest

import (
	"context"
	"time"

	"usher.internal/core"
)

// hearing is for how long a sign of life stands in the checks.
const hearing = 20 * time.Second

func hearingChecks() []Check {
	return []Check{
		{"hearing/own_is_not_elsewhere", checkHearsItself},
		{"hearing/last_is_told_of_to_others", checkHeardLast},
		{"hearing/younger_stream_counts", checkYoungerStream},
		{"hearing/each_incarnation_by_itself", checkHeardApart},
		{"hearing/ends_exactly_at_its_time", checkHearingEnds},
	}
}

// wantHear gives a sign of life of an owner on a stream of that age, or asks with a blank life, and expects the answer.
func (r *rig) wantHear(owner core.Owner, age, life time.Duration, want bool) {
	r.Helper()
	got, err := r.Hear(r.ctx, core.Sign{Owner: owner, Age: age, Life: life})
	if err != nil {
		r.stop("Hear: %v", err)
	}
	if got != want {
		r.Errorf("%v on a stream of %v for %v: heard elsewhere is %v", owner, age, life, got)
	}
}

func checkHearsItself(t TB, h *Harness) {
	r := newRig(t, h, 1)
	r.wantHear(gateway, 0, 0, false)
	r.wantHear(gateway, 0, hearing, false)
	r.wantHear(gateway, time.Hour, hearing, false) // another stream of its own
	r.wantHear(gateway, 0, 0, false)
}

func checkHeardLast(t TB, h *Harness) {
	r := newRig(t, h, 1)
	a, b := r.peer(), r.peer()
	if a == nil {
		return
	}
	r.wantHear(gateway, time.Minute, hearing, false)
	a.wantHear(gateway, 0, 0, true)
	a.wantHear(gateway, 0, 0, true) // to ask is not to hear
	r.wantHear(gateway, 0, 0, false)
	a.wantHear(gateway, 0, hearing, false)
	a.wantHear(gateway, 0, 0, false)
	r.wantHear(gateway, 0, 0, true)
	b.wantHear(gateway, 0, 0, true)
	r.wantHear(gateway, time.Minute, hearing, true) // the older stream is heard too
	a.wantHear(gateway, 0, 0, true)
	r.wantHear(gateway, 0, 0, false)
}

func checkYoungerStream(t TB, h *Harness) {
	r := newRig(t, h, 1)
	peer := r.peer()
	if peer == nil {
		return
	}
	r.wantHear(gateway, 10*time.Second, hearing, false)
	peer.wantHear(gateway, time.Second, hearing, false)
	r.advance(3 * time.Second)
	for range 2 {
		r.wantHear(gateway, 13*time.Second, hearing, true)
	}
	peer.wantHear(gateway, 4*time.Second, hearing, false)
	r.advance(hearing - instant)
	r.wantHear(gateway, 13*time.Second+hearing-instant, hearing, true)
	r.advance(instant) // the younger one fell silent
	r.wantHear(gateway, 13*time.Second+hearing, hearing, false)
	peer.wantHear(gateway, 14*time.Second+hearing, hearing, true)
	peer.wantHear(gateway, 0, hearing, false)
	r.wantHear(gateway, 13*time.Second+hearing, hearing, true)
}

func checkHeardApart(t TB, h *Harness) {
	r := newRig(t, h, 1)
	peer := r.peer()
	if peer == nil {
		return
	}
	owners := []core.Owner{{Name: "gateway", Incarnation: "12"}, {Name: "gateway1", Incarnation: "2"}, {Name: "gateway", Incarnation: "1\x00 2"}}
	for i, owner := range owners {
		r.wantHear(owner, time.Second, hearing, false)
		for j, other := range owners {
			peer.wantHear(other, 0, 0, j <= i)
		}
	}
}

func checkHearingEnds(t TB, h *Harness) {
	r := newRig(t, h, 1)
	peer := r.peer()
	if peer == nil {
		return
	}
	r.wantHear(gateway, 0, hearing, false)
	r.advance(hearing - instant)
	peer.wantHear(gateway, 0, 0, true)
	r.wantHear(gateway, hearing-instant, hearing, false)
	r.advance(hearing - instant)
	peer.wantHear(gateway, 0, 0, true)
	r.advance(instant)
	peer.wantHear(gateway, 0, 0, false)
}

// ghosts hears of owners from nobody.
type ghosts struct{ core.Store }

// Hear tells of another.
func (m *ghosts) Hear(ctx context.Context, sign core.Sign) (bool, error) {
	_, err := m.Store.Hear(ctx, sign)
	return true, err
}

// lastingEar hears for ever.
type lastingEar struct{ core.Store }

// Hear lengthens the sign's life.
func (m *lastingEar) Hear(ctx context.Context, sign core.Sign) (bool, error) {
	if sign.Life > 0 {
		sign.Life = forever
	}
	return m.Store.Hear(ctx, sign)
}

// ageless takes every sign for one of a new stream.
type ageless struct{ core.Store }

// Hear leaves the age out.
func (m *ageless) Hear(ctx context.Context, sign core.Sign) (bool, error) {
	sign.Age = 0
	return m.Store.Hear(ctx, sign)
}

// askHears takes a question for a sign of life.
type askHears struct{ core.Store }

// Hear answers, and hears.
func (m *askHears) Hear(ctx context.Context, sign core.Sign) (bool, error) {
	elsewhere, err := m.Store.Hear(ctx, sign)
	if err == nil && sign.Life == 0 {
		sign.Life = hearing
		_, err = m.Store.Hear(ctx, sign)
	}
	return elsewhere, err
}

// sameLife knows names alone.
type sameLife struct{ core.Store }

// Hear leaves the incarnation out.
func (m *sameLife) Hear(ctx context.Context, sign core.Sign) (bool, error) {
	sign.Owner.Incarnation = ""
	return m.Store.Hear(ctx, sign)
}
