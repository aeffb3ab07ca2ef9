package redisstore

import (
	"testing"
	"time"

	"usher.internal/core"
)

// TestKept: what another replica looks after is not ended by EndKept, and stays with it where it is adopted as another's.
func TestKept(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		a, b := open(t, Options{Server: server, Budget: patience}), open(t, Options{Server: server, Budget: patience})
		for _, s := range []*Store{a, b} {
			if err := s.Register(t.Context(), &core.Roster{Accounts: []core.RosterEntry{{ID: "a", Limit: 4}}}); err != nil {
				t.Fatal(err)
			}
		}
		out, err := a.TakeFirst(t.Context(), &core.FirstTake{
			Grant: core.Grant{ID: core.LeaseID{1}, TTL: time.Hour, Owner: core.Owner{Name: "gateway", Incarnation: "1"}}, Order: []core.Choice{{}},
		})
		if err != nil || out.Status != core.FirstTook {
			t.Fatalf("took %+v, %v", out, err)
		}
		adopt := func(s *Store, left time.Duration, elsewhere bool) {
			t.Helper()
			l := out.Lease
			l.Elsewhere = elsewhere
			results := make([]core.Adopted, 1)
			if err := s.Adopt(t.Context(), []core.Adoption{{Lease: l, TTL: time.Hour, Left: left}}, results); err != nil || results[0].Status != core.EventApplied {
				t.Fatalf("adopted %+v, %v", results[0], err)
			}
		}
		end := func(s *Store, want int) {
			t.Helper()
			if ended, err := s.EndKept(t.Context(), []core.LeaseID{out.Lease.ID}, core.LeaseEndOwnerSilent); err != nil || len(ended) != want {
				t.Errorf("%d ended, not %d: %v", len(ended), want, err)
			}
		}
		end(b, 0)
		adopt(b, 0, false)
		end(a, 0)
		adopt(a, time.Hour, true)
		end(a, 0)
		adopt(a, time.Hour, false)
		end(b, 0)
		end(a, 1)
		end(a, 0)
	})
}
