package redisstore

import (
	"context"
	"sync"
	"time"

	"usher.internal/core"
)

// counted are the waiters of this replica that the server counts, as far as is known here. It counts them no more when it took this
// replica for dead, or lost its memory: then they are counted again, or no slot that comes free would be their turn.
type counted struct {
	// mu guards what follows.
	mu  sync.Mutex
	all map[core.WaiterID]counts
	// left is how many were dropped so far.
	left int64
}

// counts is what a waiter counts on, and until when.
type counts struct {
	account, tenant string
	until           time.Time
}

// census is how many are counted at an instant, and how many were dropped before.
type census struct{ n, left int64 }

// add is for one that the server counts.
func (c *counted) add(w *core.Waiter, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[w.ID] = counts{account: w.Account, tenant: w.Tenant, until: now.Add(w.TTL)}
}

func (c *counted) move(id core.WaiterID, account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w, ok := c.all[id]; ok {
		w.account = account
		c.all[id] = w
	}
}

// drop is for one of which the server is about to be told that it leaves.
func (c *counted) drop(id core.WaiterID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.all[id]; ok {
		delete(c.all, id)
		c.left++
	}
}

func (c *counted) now() census {
	c.mu.Lock()
	defer c.mu.Unlock()
	return census{int64(len(c.all)), c.left}
}

// lacking tells that the server, which counted n after before was taken, counts fewer than it must: all that were, but those
// that left meanwhile.
func (c *counted) lacking(before census, n int64) bool {
	return n < before.n-(c.now().left-before.left)
}

// those gives who is counted, without those whose time is over.
func (c *counted) those(now time.Time) []core.Waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []core.Waiter
	for id, w := range c.all { // order-free: each is counted by itself
		if left := w.until.Sub(now); left > 0 {
			all = append(all, core.Waiter{ID: id, Account: w.account, Tenant: w.tenant, TTL: left})
		} else {
			delete(c.all, id)
			c.left++
		}
	}
	return all
}

func (c *counted) has(id core.WaiterID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.all[id]
	return ok
}

// rejoin has the server count this replica's waiters again. Who leaves meanwhile may be counted after that, and leaves once more.
func (s *Store) rejoin(ctx context.Context) error {
	all := s.counted.those(s.clock.Now())
	return inSteps(len(all), func(from, to int) error {
		step := all[from:to]
		_, err := s.call(ctx, s.scripts.rejoin, func(_ *table, args []string) []string {
			for i := range step {
				if w := &step[i]; s.counted.has(w.ID) {
					args = append(args, key(w.ID), w.Account, w.Tenant, life(w.TTL))
				}
			}
			return args
		})
		for i := range step {
			if !s.counted.has(step[i].ID) {
				s.lose(step[i].ID)
			}
		}
		return err
	})
}
