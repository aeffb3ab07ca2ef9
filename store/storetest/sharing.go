package storetest

import (
	"context"
	"slices"
	"time"

	"usher.internal/core"
)

// statsLife is that of what the checks share.
const statsLife = 7 * time.Second

func sharingChecks() []Check {
	return []Check{
		{"sharing/own_is_not_answered", checkOwnStats},
		{"sharing/peers_hear_what_was_put", checkPeerStats},
		{"sharing/ends_exactly_at_its_time", checkStatsEnd},
	}
}

// wantStats puts something and expects exactly this of the others, in any order.
func (r *rig) wantStats(own string, want ...string) {
	r.Helper()
	got, err := r.ShareStats(r.ctx, []byte(own), statsLife)
	if err != nil {
		r.stop("ShareStats: %v", err)
	}
	texts := make([]string, len(got))
	for i := range got {
		texts[i] = string(got[i])
	}
	slices.Sort(texts)
	if !slices.Equal(texts, want) {
		r.Errorf("others have learned %q, want %q", texts, want)
	}
}

func checkOwnStats(t TB, h *Harness) {
	r := newRig(t, h, 1)
	for _, own := range []string{"", "one", "one", "two", ""} {
		r.wantStats(own)
	}
}

// peer gives another replica; nil when the store cannot have one.
func (r *rig) peer() *rig {
	if r.h.Peer == nil {
		return nil
	}
	peer := *r
	peer.Store = r.h.Peer(r.TB)
	peer.made += 1 << 32
	peer.register()
	return &peer
}

func checkPeerStats(t TB, h *Harness) {
	r := newRig(t, h, 1)
	a, b := r.peer(), r.peer()
	if a == nil {
		return
	}
	const odd = "\x00\r\n \xff1 2 $3\r\n" // what is put is anybody's bytes
	r.wantStats(odd)
	a.wantStats("", odd)
	a.wantStats("of a", odd)
	b.wantStats("of b", odd, "of a")
	r.wantStats("newer", "of a", "of b")
	a.wantStats("of a", "newer", "of b")
	a.wantStats("", "newer", "of b")
	b.wantStats("of b", "newer")
	r.wantStats("newer", "of b")
}

func checkStatsEnd(t TB, h *Harness) {
	r := newRig(t, h, 1)
	peer := r.peer()
	if peer == nil {
		return
	}
	r.wantStats("learned")
	r.advance(statsLife - instant)
	peer.wantStats("heard", "learned")
	r.advance(instant)
	peer.wantStats("heard")
	r.advance(statsLife - instant)
	r.wantStats("again", "heard")
	peer.wantStats("", "again")
	r.advance(statsLife)
	peer.wantStats("")
}

// echoing answers what its own replica put too.
type echoing struct{ core.Store }

// ShareStats adds what is put to the answer.
func (m *echoing) ShareStats(ctx context.Context, own []byte, life time.Duration) ([][]byte, error) {
	others, err := m.Store.ShareStats(ctx, own, life)
	if len(own) > 0 {
		others = append(others, own)
	}
	return others, err
}

// lasting puts statistics for ever.
type lasting struct{ core.Store }

// ShareStats changes the life of what is put.
func (m *lasting) ShareStats(ctx context.Context, own []byte, _ time.Duration) ([][]byte, error) {
	return m.Store.ShareStats(ctx, own, forever)
}

// deaf hears nothing of others.
type deaf struct{ core.Store }

// ShareStats leaves the answer out.
func (m *deaf) ShareStats(ctx context.Context, own []byte, life time.Duration) ([][]byte, error) {
	_, err := m.Store.ShareStats(ctx, own, life)
	return nil, err
}
