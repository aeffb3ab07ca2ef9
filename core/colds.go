package core

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core/decide"
)

// plainModel is the name under which limits and statistics of an upstream model are kept.
func plainModel(upstream string) string { return strings.TrimSpace(upstream) }

// colds is what reports taught about when accounts may serve again, by ordinal. Reading takes no lock.
type colds struct {
	// taught counts accounts with a Cold and accounts that back off: while it is 0, nobody looks further.
	taught atomic.Int32
	// changes counts changes of any account's Cold.
	changes atomic.Uint64
	rows    atomic.Pointer[[]atomic.Pointer[decide.Cold]]

	// mu guards what follows, and writing to rows.
	mu        sync.Mutex
	overloads map[int32]overload
	// refusals counts accounts whose credentials were refused.
	refusals uint64
	chance   decide.Generator
}

// overload is an account's overloads in a row.
type overload struct {
	count int
	// last is when the last one was counted.
	last time.Time
}

// next gives the count with one more, of a request granted then. One that was on its way when the last was
// counted tells of the same trouble.
func (o overload) next(granted time.Time) int {
	if o.count > 0 && !granted.After(o.last) {
		return o.count
	}
	return o.count + 1
}

// start must be called before any other method.
func (c *colds) start(seed uint64) {
	c.overloads, c.chance = make(map[int32]overload), decide.NewGenerator(seed)
}

// any tells that reports have taught something that stands.
func (c *colds) any() bool { return c.taught.Load() != 0 }

// of gives what is known of one account.
func (c *colds) of(ordinal int) *decide.Cold {
	if !c.any() {
		return nil
	}
	rows := c.rows.Load()
	if rows == nil || ordinal >= len(*rows) {
		return nil
	}
	return (*rows)[ordinal].Load()
}

// gather fills memory, which grows as it must, with what is known of the ordinals; nil when that is nothing of any.
func (c *colds) gather(ordinals []int32, memory *[]*decide.Cold) []*decide.Cold {
	if !c.any() {
		return nil
	}
	held := c.rows.Load()
	if held == nil {
		return nil
	}
	rows, found := *held, false
	*memory = room(*memory, len(ordinals))
	out := *memory
	for i, ordinal := range ordinals {
		out[i] = nil
		if int(ordinal) < len(rows) {
			out[i] = rows[ordinal].Load()
			found = found || out[i] != nil
		}
	}
	if !found {
		return nil
	}
	return out
}

// set takes a cooldown in: the later of two deadlines stands. One of refused credentials has no deadline. Tells whether it changed anything.
func (c *colds) set(ordinal int32, cool *Cooldown) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changeLocked(ordinal, func(cold *decide.Cold) *decide.Cold {
		if cool.Reason == decide.AuthFailed {
			if !cold.AuthFailed() {
				c.refusals++
			}
			return cold.RefusedAuth()
		}
		return cold.Cooled(cool.Model, cool.Until, cool.Reason)
	})
}

// clear forgets the deadline of a model, or of the whole account when the model is blank.
func (c *colds) clear(ordinal int32, model string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if model == "" {
		c.calmLocked(ordinal)
	}
	c.changeLocked(ordinal, func(cold *decide.Cold) *decide.Cold { return cold.Cleared(model) })
}

// succeeded ends the probation of the account and of the model on it, and its overloads in a row.
func (c *colds) succeeded(ordinal int32, model string, now time.Time) {
	if !c.any() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calmLocked(ordinal)
	c.changeLocked(ordinal, func(cold *decide.Cold) *decide.Cold { return cold.Succeeded(model, now) })
}

// coldKey names what a store's list has of an account: a deadline, of the whole account when the model is blank, or a pause.
type coldKey struct {
	ordinal int32
	model   string
	auth    bool
}

// asking is how things stood when the store was asked what it has.
type asking struct {
	at       time.Time
	refusals uint64
}

func (c *colds) ask(now time.Time) asking {
	c.mu.Lock()
	defer c.mu.Unlock()
	return asking{now, c.refusals}
}

// keep ends the probations and the pauses that began before the store was asked, and that it does not have. It adds to
// changed whose ended.
func (c *colds) keep(asked asking, standing map[coldKey]bool, changed []int32) []int32 {
	if !c.any() {
		return changed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	rows := c.rows.Load()
	if rows == nil {
		return changed
	}
	for i := range *rows {
		if (*rows)[i].Load() == nil {
			continue
		}
		ordinal := int32(i)
		auth := c.refusals != asked.refusals || standing[coldKey{ordinal: ordinal, auth: true}]
		if c.changeLocked(ordinal, func(cold *decide.Cold) *decide.Cold {
			return cold.Kept(asked.at, func(model string) bool { return standing[coldKey{ordinal: ordinal, model: model}] }, auth)
		}) {
			c.calmLocked(ordinal)
			changed = append(changed, ordinal)
		}
	}
	return changed
}

// backoff gives how long an account stays away after an overload of a request granted then. It counts nothing.
func (c *colds) backoff(ordinal int32, granted time.Time, b decide.Backoff) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return b.After(c.overloads[ordinal].next(granted), c.chance.Float64())
}

// overloaded counts an overload of a request granted then.
func (c *colds) overloaded(ordinal int32, granted, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.overloads[ordinal]
	count := before.next(granted)
	if count == before.count {
		return
	}
	if before.count == 0 {
		c.taught.Add(1)
	}
	c.overloads[ordinal] = overload{count, now}
}

// forgotten is when deadlines ended of which nothing is to be known any more.
func forgotten(now time.Time, p *decide.Policy) time.Time {
	if p.HalfOpen {
		return now.Add(-p.Longest())
	}
	return now
}

// tidy forgets deadlines that are over, under a half-open policy those that have been for the longest
// cooldown without a probe, and overloads that old.
func (c *colds) tidy(now time.Time, p *decide.Policy) {
	if !c.any() {
		return
	}
	old, over := now.Add(-p.Longest()), forgotten(now, p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for ordinal, o := range c.overloads { // order-free: each goes by itself
		if o.last.Before(old) {
			c.calmLocked(ordinal)
		}
	}
	if rows := c.rows.Load(); rows != nil {
		for ordinal := range *rows {
			if (*rows)[ordinal].Load() != nil {
				c.changeLocked(int32(ordinal), func(cold *decide.Cold) *decide.Cold { return cold.Since(over) })
			}
		}
	}
}

func (c *colds) calmLocked(ordinal int32) {
	if _, ok := c.overloads[ordinal]; ok {
		delete(c.overloads, ordinal)
		c.taught.Add(-1)
	}
}

// changeLocked puts what change makes of an account's Cold in its place, and tells whether that is another.
func (c *colds) changeLocked(ordinal int32, change func(*decide.Cold) *decide.Cold) bool {
	var old *decide.Cold
	rows := c.rows.Load()
	known := rows != nil && int(ordinal) < len(*rows)
	if known {
		old = (*rows)[ordinal].Load()
	}
	cold := change(old)
	if cold == old {
		return false
	}
	if !known {
		rows = c.growLocked(ordinal)
	}
	(*rows)[ordinal].Store(cold)
	c.changes.Add(1)
	switch {
	case old == nil:
		c.taught.Add(1)
	case cold == nil:
		c.taught.Add(-1)
	}
	return true
}

// growLocked makes room for an ordinal. Who reads the old rows sees them as they were a moment ago.
func (c *colds) growLocked(ordinal int32) *[]atomic.Pointer[decide.Cold] {
	var old []atomic.Pointer[decide.Cold]
	if rows := c.rows.Load(); rows != nil {
		old = *rows
	}
	rows := make([]atomic.Pointer[decide.Cold], max(int(ordinal)+1, 2*len(old)))
	for i := range old {
		rows[i].Store(old[i].Load())
	}
	c.rows.Store(&rows)
	return &rows
}
