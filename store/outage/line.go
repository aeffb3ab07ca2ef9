package outage

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"usher.internal/core"
)

// line is who waits here, as far as was told: an island begins with them, and the primary hears of those who joined that.
type line struct {
	// mu guards what follows.
	mu      sync.Mutex
	waiters map[core.WaiterID]waiting // by the id that was given
}

// waiting is a waiter that has not left, by the name that the stores know.
type waiting struct {
	core.Waiter
	given core.WaiterID
	until time.Time
	// told says that the primary counts it, moved that it may do so on another account.
	told, moved bool
}

// name gives the one by which the stores know a waiter: who joins an island is known there by another, since the primary takes back
// what joins without an answer.
func (l *line) name(given core.WaiterID, i *island) core.WaiterID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.waiters[given]; known {
		return e.ID
	}
	if i != nil {
		given[0] ^= ofIsland
	}
	return given
}

// join takes a waiter down, with a whole new life.
func (l *line) join(given core.WaiterID, w core.Waiter, now time.Time, told bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, known := l.waiters[given]
	if !known {
		e = waiting{Waiter: w, given: given, told: told}
	}
	e.until = now.Add(w.TTL)
	if l.waiters == nil {
		l.waiters = make(map[core.WaiterID]waiting)
	}
	l.waiters[given] = e
}

func (l *line) move(given core.WaiterID, account string, told bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.waiters[given]; known {
		e.Account, e.moved = account, !told
		l.waiters[given] = e
	}
}

func (l *line) leave(given core.WaiterID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiters, given)
}

// heard takes down that the primary counts a waiter; false when that has left.
func (l *line) heard(w *waiting) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, known := l.waiters[w.given]
	if known {
		e.told, e.moved = true, e.moved && e.Account != w.Account
		l.waiters[w.given] = e
	}
	return known
}

// living lists who waits by now, all or those of whom the primary is to be told, and forgets whose time is over.
func (l *line) living(now time.Time, all bool) (list []waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for given, e := range l.waiters { // order-free: sorted below
		switch left := e.until.Sub(now); {
		case left <= 0:
			delete(l.waiters, given)
		case all || !e.told || e.moved:
			e.TTL = left
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b waiting) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list
}

// Join counts a waiter.
func (s *Store) Join(ctx context.Context, w *core.Waiter) (out core.Joined, err error) {
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		asked := *w
		asked.ID = s.line.name(w.ID, i)
		if out, err = store.Join(ctx, &asked); err != nil || out.Status != core.JoinedLine {
			return err
		}
		asked.AccountCap, asked.TenantCap = 0, 0 // it has passed them
		begun := s.fence(i)
		defer s.unfence(i)
		s.line.join(w.ID, asked, s.clock.Now(), i == nil)
		if begun != nil {
			begun.join(asked)
		}
		return nil
	})
	return out, err
}

// Move counts a waiter on another account.
func (s *Store) Move(ctx context.Context, id core.WaiterID, account string) error {
	return s.on(ctx, func(store core.Store, i *island) error {
		name := s.line.name(id, nil)
		if err := store.Move(ctx, name, account); err != nil {
			return err
		}
		begun := s.fence(i)
		defer s.unfence(i)
		s.line.move(id, account, i == nil)
		if begun != nil {
			begun.move(name, account)
		}
		return nil
	})
}

// Leave counts a waiter no more. During an outage the primary hears of it afterwards.
func (s *Store) Leave(ctx context.Context, id core.WaiterID) error {
	name := s.line.name(id, nil)
	// First of all: who tells the primary of a waiter looks afterwards if it has left.
	s.line.leave(id)
	err := s.on(ctx, func(store core.Store, i *island) error {
		if i != nil {
			s.leavers.add(name)
		}
		if err := store.Leave(ctx, name); err != nil {
			return err
		}
		begun := s.fence(i)
		defer s.unfence(i)
		if begun != nil {
			begun.leave(name)
		}
		return nil
	})
	if unavailable(err) {
		s.leavers.add(name)
		return nil
	}
	return err
}

// rejoin has the primary count who waits here; again says that what it was told before may be lost.
func (s *Store) rejoin(ctx context.Context, again bool) error {
	for part := range slices.Chunk(s.line.living(s.clock.Now(), again), waitersAtOnce) {
		if err := atOnce(len(part), func(n int) error { return s.rejoinOne(ctx, &part[n]) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rejoinOne(ctx context.Context, w *waiting) error {
	if _, err := s.primary.Join(ctx, &w.Waiter); err != nil {
		return err
	}
	if w.moved {
		if err := s.primary.Move(ctx, w.ID, w.Account); err != nil {
			return err
		}
	}
	if s.line.heard(w) {
		return nil
	}
	return s.primary.Leave(ctx, w.ID)
}

// Answered tells of each request id whether a Select of it is answered without a slot.
func (s *Store) Answered(ctx context.Context, requests []core.RequestKey, answered []bool) error {
	return s.on(ctx, func(store core.Store, _ *island) error { return store.Answered(ctx, requests, answered) })
}
