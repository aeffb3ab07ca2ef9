package redisstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"usher.internal/core"
)

// rotation is a replica whose roster has a and, one after another, accounts that come and go.
type rotation struct {
	*world
	*testing.T
	store  *Store
	roster core.Roster
}

func newRotation(t *testing.T, w *world) *rotation {
	t.Helper()
	r := &rotation{world: w, T: t, store: open(t, w.options), roster: core.Roster{Accounts: []core.RosterEntry{{ID: "a", Limit: 3}}}}
	must(t, r.store.Register(t.Context(), &r.roster))
	return r
}

// come lists another account in place of the last.
func (r *rotation) come(id string) (ordinal int32) {
	r.Helper()
	r.roster.Accounts = append([]core.RosterEntry(nil), r.roster.Accounts...)
	last := len(r.roster.Accounts) - 1
	r.roster.Accounts[last].Left = last > 0
	r.roster.Accounts = append(r.roster.Accounts, core.RosterEntry{ID: id, Limit: 2})
	must(r.T, r.store.Register(r.Context(), &r.roster))
	return int32(last) + 1
}

// days lets days pass on which all beat.
func (r *rotation) days(n int, living ...*Store) {
	r.Helper()
	for range n {
		r.advance(24 * time.Hour)
		for _, s := range append(living, r.store) {
			must(r.T, s.beat(r.Context()))
			sweep(r.T, s)
		}
	}
}

// place gives where an account is; blank when it has no place.
func (r *rotation) place(id string) string {
	r.Helper()
	return sound(r.T, r.client(r.T), r.store.prefix[0])["A"].pairs()[id]
}

// TestPlacesGoToOthers: a pool whose accounts come and go does not make the namespace grow.
func TestPlacesGoToOthers(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := newRotation(t, w)
		for n := range 6 {
			ordinal := r.come("x" + strings.Repeat("y", n))
			lease := w.take(t, r.store, w.first(ordinal))
			if lease.Account != r.roster.Accounts[ordinal].ID {
				t.Errorf("took %q", lease.Account)
			}
			settle(t, r.store, core.SettleFinished, lease)
			r.days(8)
		}
		all := sound(t, r.client(t), r.store.prefix[0])
		if n := len(all["A"].pairs()); n != 3 {
			t.Errorf("%d accounts have places, want a, the one that is listed and the one before it", n)
		}
		if got := r.place("a"); got != "0" {
			t.Errorf("the account that was always listed is at %q", got)
		}
	})
}

// TestPlacesStay: an account keeps its place while anybody lists it, while something of it is in use, and while a binding to it may live.
func TestPlacesStay(t *testing.T) {
	for _, row := range []struct {
		name  string
		hold  func(t *testing.T, r *rotation, ordinal int32) (living []*Store)
		until int // the day on which its place is another's; 0 is never
	}{
		{"let go", func(*testing.T, *rotation, int32) []*Store { return nil }, 8},
		{"listed by another", func(t *testing.T, r *rotation, ordinal int32) []*Store {
			other := open(t, r.options)
			must(t, other.Register(t.Context(), &core.Roster{Accounts: r.roster.Accounts[:ordinal+1]}))
			return []*Store{other}
		}, 0},
		{"in use", func(t *testing.T, r *rotation, ordinal int32) []*Store {
			take := r.first(ordinal)
			take.Grant.TTL = 30 * 24 * time.Hour
			r.take(t, r.store, take)
			return nil
		}, 30},
		{"bound", func(t *testing.T, r *rotation, ordinal int32) []*Store {
			take := r.first(ordinal)
			take.Session, take.SessionTTL = r.id(), 30*24*time.Hour
			settle(t, r.store, core.SettleFinished, r.take(t, r.store, take))
			return nil
		}, 38},
	} {
		t.Run(row.name, func(t *testing.T) {
			onWorlds(t, func(t *testing.T, w *world) {
				r := newRotation(t, w)
				living := row.hold(t, r, r.come("x"))
				gone := 0
				for day := 1; day <= 45 && gone == 0; day++ {
					r.days(1, living...)
					r.come(fmt.Sprint("day ", day))
					if r.place("x") == "" {
						gone = day
					}
				}
				if gone != row.until {
					t.Errorf("its place was another's on day %d, want %d", gone, row.until)
				}
			})
		})
	}
}

// TestPlaceLostWhileAway: a replica whose account lost its place while nothing was heard of it goes on with another.
func TestPlaceLostWhileAway(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := newRotation(t, w)
		ordinal := r.come("x")
		away := open(t, w.options)
		must(t, away.Register(t.Context(), &r.roster))
		was := r.place("x")
		r.come("y")
		r.days(9)
		r.come("z")
		if r.place("z") != was {
			t.Fatalf("the new account is at %q, want %q", r.place("z"), was)
		}
		lease := w.take(t, away, w.first(ordinal))
		if now := r.place("x"); lease.Account != "x" || now == was {
			t.Errorf("took %q at %q, where another is", lease.Account, now)
		}
		if status := settle(t, r.store, core.SettleFinished, lease); status != core.EventApplied {
			t.Errorf("its end is answered with %d", status)
		}
		sound(t, r.client(t), r.store.prefix[0])
	})
}
