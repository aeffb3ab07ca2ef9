package outage

import (
	"testing"
	"time"

	"usher.internal/core"
)

const shortTTL = 20 * time.Second

// short takes a lease of twenty seconds from the first account.
func (d *drill) short() core.Lease {
	d.Helper()
	out, err := d.all[0].TakeFirst(d.Context(), &core.FirstTake{
		Grant: core.Grant{ID: core.LeaseID{3}, TTL: shortTTL, Owner: core.Owner{Name: "gateway", Incarnation: "1"}}, Order: []core.Choice{{}},
	})
	if err != nil || out.Status != core.FirstTook {
		d.Fatalf("took %+v, %v", out, err)
	}
	return out.Lease
}

// ends gives when the one lease there is ends.
func (d *drill) ends() time.Time {
	d.Helper()
	held, err := d.all[0].LeasesOf(d.Context(), "gateway")
	if err != nil || len(held) != 1 {
		d.Fatalf("%d leases, %v", len(held), err)
	}
	return held[0].ExpiresAt
}

// TestOutagesRenewNothing: what lives ends when it would have, whether the store kept it or not.
func TestOutagesRenewNothing(t *testing.T) {
	for name, lost := range map[string]bool{"kept": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			d := newDrill(t, 1, Options{}, 4)
			d.seen()
			l := d.short()
			d.pass(5 * time.Second)
			d.lose()
			// Who knows nothing of it hears how much is left, and the drill's clocks pass in steps.
			const slack = 200 * time.Millisecond
			if ends := d.ends(); ends.Sub(l.ExpiresAt).Abs() > slack {
				t.Errorf("ends at %v during the outage, granted until %v", ends, l.ExpiresAt)
			}
			if lost {
				d.server.FlushAll()
			}
			d.back()
			if late := d.ends().Sub(l.ExpiresAt).Abs(); late > slack || late > time.Microsecond && !lost {
				t.Errorf("ends %v late or early after the outage", late)
			}
			d.renew(l, shortTTL)
		})
	}
}

// renew renews a lease without saying for how long, and wants it to be for its lifetime.
func (d *drill) renew(l core.Lease, ttl time.Duration) {
	d.Helper()
	before := d.clock.Now()
	results := make([]core.Renewed, 1)
	if err := d.all[0].Renew(d.Context(), []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt}}, results); err != nil {
		d.Fatal(err)
	}
	if got := results[0]; got.Status != core.EventApplied || got.ExpiresAt.Sub(before.Add(ttl)).Abs() > time.Second {
		d.Errorf("renewed at %v as %+v", before, got)
	}
}

// TestRenewalsOfAnOutageStand: they are for the lease's own lifetime, as before and afterwards.
func TestRenewalsOfAnOutageStand(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	d.seen()
	l := d.short()
	d.pass(12 * time.Second)
	d.lose()
	d.renew(l, shortTTL)
	during := d.ends()
	d.back()
	if ends := d.ends(); ends.Sub(during).Abs() > time.Microsecond {
		t.Errorf("ends at %v, renewed until %v", ends, during)
	}
	d.renew(l, shortTTL)
}
