package storetest

import (
	"math/rand/v2"
	"time"

	"usher.internal/core"
)

func countChecks() []Check {
	return []Check{{"count/follows_from_what_lives", checkCounts}}
}

// tally is what must live, told from the answers alone.
type tally struct {
	*rig
	now     time.Duration // since the start
	leases  map[core.LeaseID]tallied
	waiters map[core.WaiterID]tallied
	all     []core.Lease // ever granted
}

type tallied struct {
	account string
	until   time.Duration
}

func checkCounts(t TB, h *Harness) {
	for seed := range uint64(5) {
		w := &tally{
			rig: newRig(t, h, 2, 3, 5, 0), leases: make(map[core.LeaseID]tallied), waiters: make(map[core.WaiterID]tallied),
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for range 400 {
			w.step(rng)
			w.compare()
		}
	}
}

func (w *tally) step(rng *rand.Rand) {
	w.Helper()
	ordinal := rng.IntN(len(w.ordinals))
	switch rng.IntN(8) {
	case 0, 1, 2:
		take := w.first(ordinal, rng.IntN(len(w.ordinals)))
		take.Grant.TTL = time.Duration(1+rng.IntN(60)) * time.Second
		if out := w.takeFirst(take); out.Status == core.FirstTook {
			w.leases[out.Lease.ID] = tallied{out.Lease.Account, w.now + take.Grant.TTL}
			w.all = append(w.all, out.Lease)
		}
	case 3, 4:
		if len(w.all) == 0 {
			return
		}
		l := w.all[rng.IntN(len(w.all))]
		_, lives := w.leases[l.ID]
		status := w.settle(of(l, core.SettleKind(1+rng.IntN(2))))[0].Status
		if lives != (status == core.EventApplied) {
			w.Errorf("a lease that lives: %v; status %d", lives, status)
		}
		delete(w.leases, l.ID)
	case 5:
		j := w.waiter(ordinal)
		j.TTL = time.Duration(1+rng.IntN(20)) * time.Second
		if _, err := w.Join(w.ctx, j); err != nil {
			w.stop("Join: %v", err)
		}
		w.waiters[j.ID] = tallied{j.Account, w.now + j.TTL}
	case 6:
		w.must(w.Leave(w.ctx, core.WaiterID{}))
		limit := &w.roster.Accounts[ordinal].Limit
		*limit = max(0, *limit+rng.IntN(3)-1)
		w.register()
	case 7:
		d := time.Duration(rng.IntN(5)) * time.Second
		w.advance(d)
		w.now += d
		lapse(w.leases, w.now)
		lapse(w.waiters, w.now)
	}
}

func lapse[K comparable](lives map[K]tallied, now time.Duration) {
	for id, x := range lives {
		if x.until <= now {
			delete(lives, id)
		}
	}
}

func (w *tally) compare() {
	w.Helper()
	leases, waiting := make(map[string]int32), make(map[string]int32)
	for _, x := range w.leases {
		leases[x.account]++
	}
	for _, x := range w.waiters {
		waiting[x.account]++
	}
	for ordinal, load := range w.loads() {
		id := w.account(ordinal)
		if load.InUse != leases[id] || load.Waiting != waiting[id] {
			w.stop("account %q has %+v, want %d in use and %d waiting", id, load, leases[id], waiting[id])
		}
	}
	if u := w.usage(""); u.Leases != len(w.leases) || u.TenantLeases != len(w.leases) || u.Waiting != len(w.waiters) {
		w.stop("usage is %+v, want %d leases and %d waiting", u, len(w.leases), len(w.waiters))
	}
}
