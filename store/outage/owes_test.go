package outage

import (
	"testing"

	"usher.internal/core"
)

// TestOwes: the primary is owed what was reported of leases that it has, and of cooldowns, but nothing of what began and ended without it.
func TestOwes(t *testing.T) {
	for name, tt := range map[string]struct {
		before, cools bool
		owes          bool
	}{
		"granted before":                      {before: true, owes: true},
		"granted meanwhile":                   {},
		"granted meanwhile, and rate limited": {cools: true, owes: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrill(t, 1, Options{}, 4)
			d.seen()
			s := d.all[0]
			take := func() core.Lease {
				if !d.take(s, 0) {
					t.Fatal("nothing was taken")
				}
				return d.held["a"][len(d.held["a"])-1]
			}
			var l core.Lease
			if tt.before {
				l = take()
			}
			d.lose()
			if !tt.before {
				l = take()
			}
			e := core.Settlement{Kind: core.SettleFinished, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}
			if tt.cools {
				e.Cool = core.Cooldown{Account: "a", Until: d.clock.Now().Add(leaseTTL), Reason: 1}
			}
			if err := s.Settle(t.Context(), []core.Settlement{e}, make([]core.Settled, 1)); err != nil {
				t.Fatal(err)
			}
			if s.Owes() != tt.owes {
				t.Errorf("owes %t", s.Owes())
			}
			d.back()
			if s.Owes() {
				t.Error("owes when all is shared again")
			}
		})
	}
}
