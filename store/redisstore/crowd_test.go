package redisstore

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// crowd is many callers that take and give back through several replicas, each of which knows what it holds.
type crowd struct {
	*testing.T
	stores []*Store
	// took counts takes that took, failed what failed.
	took, failed atomic.Int64
	stop         atomic.Bool
	callers      sync.WaitGroup

	// mu guards what follows.
	mu   sync.Mutex
	held []core.Lease
}

const crowdSize = 64

// newCrowd begins at a server.
func newCrowd(t *testing.T, server Server, namespace string) *crowd {
	t.Helper()
	return newPatientCrowd(t, server, namespace, DefaultBudget)
}

// newPatientCrowd waits so long for an answer.
func newPatientCrowd(t *testing.T, server Server, namespace string, budget time.Duration) *crowd {
	t.Helper()
	c := &crowd{T: t}
	for range 2 {
		s := open(t, Options{Server: server, Namespace: namespace, Budget: budget})
		until(t, "the accounts are known", func() bool { return s.Register(t.Context(), worldRoster()) == nil })
		c.stores = append(c.stores, s)
	}
	for n := range crowdSize {
		c.callers.Go(func() { c.call(n) })
	}
	t.Cleanup(c.end)
	c.goOn(10 * crowdSize)
	return c
}

// call takes and gives back; one lease in four is kept for the next time.
func (c *crowd) call(n int) {
	s, other := c.stores[n%2], c.stores[(n+1)%2]
	var kept, unsure []core.Lease // unsure is what may have been given back
	for made := uint64(1); !c.stop.Load(); made++ {
		take := &core.FirstTake{Grant: core.Grant{TTL: time.Hour, Owner: core.Owner{Name: "owner"}}, Order: []core.Choice{{Ordinal: int32(n) % 3}, {Ordinal: 2}}}
		binary.BigEndian.PutUint64(take.Grant.ID[:], uint64(n)+1)
		binary.BigEndian.PutUint64(take.Grant.ID[8:], made)
		take.Grant.Request = core.RequestKey(take.Grant.ID)
		if out, err := s.TakeFirst(context.Background(), take); err != nil {
			c.failed.Add(1)
			wait(time.Millisecond)
		} else if out.Status == core.FirstTook {
			c.took.Add(1)
			kept = append(kept, out.Lease)
		}
		if made%4 != 0 || len(kept) > 4 {
			kept, unsure = c.giveBack(other, kept, unsure)
		}
	}
	for _, l := range unsure {
		for tries := 0; !released(other, l) && tries < 2000; tries++ {
			wait(10 * time.Millisecond)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = append(c.held, kept...)
}

// giveBack gives the first of some leases back, one first of which that is not sure.
func (c *crowd) giveBack(s *Store, kept, unsure []core.Lease) (stay, doubt []core.Lease) {
	if len(unsure) == 0 && len(kept) > 0 {
		kept, unsure = kept[1:], append(unsure, kept[0])
	}
	if len(unsure) == 0 {
		return kept, nil
	}
	if !released(s, unsure[0]) {
		c.failed.Add(1)
		wait(time.Millisecond)
		return kept, unsure
	}
	return kept, unsure[1:]
}

func released(s *Store, l core.Lease) bool {
	e := []core.Settlement{{Kind: core.SettleFinished, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}}
	return s.Settle(context.Background(), e, make([]core.Settled, 1)) == nil
}

// goOn waits until so many takes more were carried out.
func (c *crowd) goOn(n int64) {
	c.Helper()
	n += c.took.Load()
	until(c, "takes are carried out", func() bool { return c.took.Load() >= n })
}

// suffer waits until so many calls more have failed.
func (c *crowd) suffer(n int64) {
	c.Helper()
	n += c.failed.Load()
	until(c, "calls fail", func() bool { return c.failed.Load() >= n })
}

// end stops the callers; it may be called twice.
func (c *crowd) end() {
	c.stop.Store(true)
	c.callers.Wait()
}

// settled ends the callers, and wants in use what they hold and nothing else, then nothing when they have given that back.
func (c *crowd) settled(server Server) {
	c.Helper()
	c.end()
	c.wantInUse(int32(len(c.held)))
	client := beside(c, &server)
	sound(c, client, c.stores[0].prefix[0])
	for _, l := range c.held {
		until(c, "a lease is given back", func() bool { return released(c.stores[0], l) })
	}
	c.wantInUse(0)
	sound(c, client, c.stores[0].prefix[0])
	c.Logf("%d takes, %d calls failed", c.took.Load(), c.failed.Load())
}

func (c *crowd) wantInUse(want int32) {
	c.Helper()
	var loads [3]decide.Load
	var got int32
	for range 2000 { // a lost take is taken back a moment later
		if c.stores[0].Loads(context.Background(), []int32{0, 1, 2}, loads[:]) == nil {
			if got = loads[0].InUse + loads[1].InUse + loads[2].InUse; got == want {
				return
			}
		}
		wait(10 * time.Millisecond)
	}
	c.Errorf("%d are in use, and the callers hold %d", got, want)
}

// wait lets time pass for what real servers do by themselves.
func wait(d time.Duration) {
	fired, _ := core.SystemClock{}.After(d)
	<-fired
}

// forget ends the callers and gives back what they hold, of which the server has lost some.
func (c *crowd) forget() {
	c.end()
	for _, l := range c.held {
		until(c, "a lease is given back", func() bool { return released(c.stores[0], l) })
	}
	c.held = nil
}
