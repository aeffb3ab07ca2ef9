package outage

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

// island is this replica's own store during an outage.
type island struct {
	*memstore.Store
	since time.Time
	// before are the shares of an outage that was not quite over; nil otherwise.
	before map[string]int
	stop   context.CancelFunc
	done   sync.WaitGroup
	// seen is the last view when it began, nil without one; began is what this replica had then.
	seen  *view
	began map[string]holding

	// mu guards what follows.
	mu     sync.RWMutex
	limits []int32 // by ordinal, as configured
	gaps   []int32 // by ordinal: how many of the limit are not this replica's
	shares map[string]int
	exact  bool // the settle time is over
}

func (i *island) close() {
	i.stop()
	_ = i.Close() // a memory store's never fails
	i.done.Wait()
}

// settleIsland makes an island of what the ledger, the view, the bindings and the shares of the outage before know.
func (s *Store) settleIsland(now time.Time, before map[string]int) (*island, error) {
	store, err := memstore.New(memstore.Options{Clock: s.clock, MarkTTL: s.opts.MarkTTL, Handover: core.Handover})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(s.life)
	living := s.ledger.living(now)
	i := &island{Store: store, since: now, before: before, stop: stop, seen: s.view.Load()}
	if i.seen != nil {
		i.began = s.ledger.since(i.seen.look)
	}
	signals, err := store.Signals(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	i.done.Go(func() {
		for signal := range signals {
			s.hub.Publish(signal)
		}
	})
	if err := i.takeUp(ctx, living, now); err != nil {
		i.close()
		return nil, err
	}
	for _, w := range s.line.living(now, true) {
		i.join(w.Waiter)
	}
	// Afterwards, so that what is free is for those who wait, and they are told of it.
	if err := s.shareOut(ctx, i, false); err != nil {
		i.close()
		return nil, err
	}
	err = i.bindAll(ctx, s.bindings.living(now), now)
	return i, err
}

// shareOut gives each account its slots; exact says that the settle time is over.
func (s *Store) shareOut(ctx context.Context, i *island, exact bool) error {
	s.mu.Lock()
	roster, members := s.roster, s.members
	s.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.exact, i.shares = exact, make(map[string]int)
	i.limits, i.gaps = make([]int32, len(roster.Accounts)), make([]int32, len(roster.Accounts))
	local := core.Roster{Accounts: slices.Clone(roster.Accounts)}
	for n := range local.Accounts {
		entry := &local.Accounts[n]
		if entry.ID == "" || entry.Limit <= 0 || entry.Closed {
			continue
		}
		share := s.share(i, entry.ID, entry.Limit, exact, members)
		if was, bound := i.before[entry.ID]; bound {
			// The view may be of before both: what was taken since is not to be shared out again.
			share = min(share, max(was, s.ledger.holds(entry.ID), s.share(i, entry.ID, entry.Limit, true, members)))
		}
		i.shares[entry.ID] = share
		i.limits[n], i.gaps[n] = int32(entry.Limit), int32(max(entry.Limit-share, 0))
		entry.Limit, entry.Closed = share, share == 0
	}
	return i.Register(ctx, &local)
}

// share gives how many slots of an account are this replica's.
func (s *Store) share(i *island, account string, limit int, exact bool, members []string) int {
	if s.opts.Mode == LocalFull {
		return limit
	}
	if len(members) == 0 {
		members = strangers(s.primary.Self(), s.opts.Replicas)
	}
	self := s.primary.Self()
	if exact || i.seen == nil {
		return part(limit, account, self, members)
	}
	had := i.began[account]
	// What this replica took since the view is no longer free. What it gave back is where there is no other: else another may have it.
	since := had.took - had.gave
	if len(members) > 1 || members[0] != self {
		since = max(since, 0)
	}
	free := limit - max(i.seen.inUse[account]+since, had.held)
	return had.held + part(free, account, self, members)
}

// strangers stand for replicas that were never heard of.
func strangers(self string, replicas int) []string {
	out := []string{self}
	for n := 1; n < replicas; n++ {
		out = append(out, string(binary.BigEndian.AppendUint32([]byte("stranger "), uint32(n))))
	}
	return out
}

// chunk bounds what goes in one call.
const chunk = 256

// takeUp makes leases the island's.
func (i *island) takeUp(ctx context.Context, leases []entry, now time.Time) error {
	for part := range slices.Chunk(adoptions(leases, now), chunk) {
		if err := i.Adopt(ctx, part, make([]core.Adopted, len(part))); err != nil {
			return err
		}
	}
	return nil
}

// adoptions tell of leases that live by now, and renew none.
func adoptions(leases []entry, now time.Time) []core.Adoption {
	out := make([]core.Adoption, len(leases))
	for n := range leases {
		e := &leases[n]
		out[n] = core.Adoption{Lease: e.lease, TTL: e.ttl, Left: max(e.lease.ExpiresAt.Sub(now), 1)}
	}
	return out
}

// bindAll binds what is remembered. A report of a lease that is not known binds, so that is what this is told as.
func (i *island) bindAll(ctx context.Context, all map[core.BindingKey]bound, now time.Time) error {
	events := make([]core.Settlement, 0, len(all))
	for key, b := range all { // order-free: each key is bound by itself
		id := core.LeaseID(key)
		events = append(events, core.Settlement{
			Kind: core.SettleFirstToken, Lease: id, Account: b.account, GrantedAt: now, Bind: key, BindTTL: b.at.Add(b.ttl).Sub(now),
		})
	}
	for part := range slices.Chunk(events, chunk) {
		if err := i.Settle(ctx, part, make([]core.Settled, len(part))); err != nil {
			return err
		}
	}
	return nil
}

// What follows tells of what the primary did when this had begun. A memory store does it or knows nothing of it, and its answer is nobody's.

func (i *island) settle(e core.Settlement, lease core.LeaseID) {
	if e.Lease = lease; lease != (core.LeaseID{}) {
		_ = i.Settle(context.Background(), []core.Settlement{e}, make([]core.Settled, 1))
	}
}

func (i *island) renew(r core.Renewal) {
	_ = i.Renew(context.Background(), []core.Renewal{r}, make([]core.Renewed, 1))
}

func (i *island) end(id core.LeaseID, how core.LeaseEnd) {
	_, _ = i.End(context.Background(), []core.LeaseID{id}, how)
}

func (i *island) adopt(a core.Adoption) {
	_ = i.Adopt(context.Background(), []core.Adoption{a}, make([]core.Adopted, 1))
}

func (i *island) join(w core.Waiter) {
	_, _ = i.Join(context.Background(), &w)
}

func (i *island) move(id core.WaiterID, account string) {
	_ = i.Move(context.Background(), id, account)
}

func (i *island) leave(id core.WaiterID) {
	_ = i.Leave(context.Background(), id)
}

// told makes the loads of the island those of the account: what is not this replica's counts as in use.
func (i *island) told(ordinals []int32, loads []decide.Load) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	for n := range min(len(ordinals), len(loads)) {
		ordinal := ordinals[n]
		if uint(ordinal) >= uint(len(i.gaps)) || i.limits[ordinal] <= 0 {
			continue
		}
		loads[n].InUse += i.gaps[ordinal]
		loads[n].Rate = decide.LoadRate(loads[n].InUse, loads[n].Waiting, i.limits[ordinal])
	}
}

// own gives the island's slots.
func (i *island) own() map[string]int {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return maps.Clone(i.shares)
}
