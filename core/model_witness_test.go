package core_test

import (
	"context"
	"sync"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// witness is a store that takes down, in order, what it is had to do.
type witness struct {
	core.Store
	// mu guards sights.
	mu     sync.Mutex
	sights []sight
}

type sightKind int

const (
	sawAsked sightKind = iota // a Select, or one in line, asks
	sawDropped
	sawTaken
	sawJoined
	sawLineFull
	sawTenantFull
	sawMoved
)

// sight is one thing that was done.
type sight struct {
	kind     sightKind
	at       time.Time
	decision core.DecisionID
	waiter   core.WaiterID
	account  string
}

func (w *witness) saw(s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.at = time.Now()
	w.sights = append(w.sights, s)
}

func (w *witness) take() []sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	sights := w.sights
	w.sights = nil
	return sights
}

func (w *witness) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	w.saw(sight{kind: sawAsked, decision: take.Grant.Decision})
	out, err := w.Store.TakeBound(ctx, take)
	if out.Session.Account != "" && out.Session.Fate == decide.Drop {
		w.saw(sight{kind: sawDropped, decision: take.Grant.Decision})
	}
	if err == nil && out.Status == core.BoundTook {
		w.saw(sight{kind: sawTaken, decision: take.Grant.Decision, account: out.Lease.Account})
	}
	return out, err
}

func (w *witness) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	out, err := w.Store.TakeFirst(ctx, take)
	if err == nil && out.Status == core.FirstTook {
		w.saw(sight{kind: sawTaken, decision: take.Grant.Decision, account: out.Lease.Account})
	}
	return out, err
}

func (w *witness) Join(ctx context.Context, waiter *core.Waiter) (core.Joined, error) {
	out, err := w.Store.Join(ctx, waiter)
	kind := sawJoined
	switch out.Status {
	case core.JoinedLine:
	case core.JoinAccountFull:
		kind = sawLineFull
	case core.JoinTenantFull:
		kind = sawTenantFull
	}
	w.saw(sight{kind: kind, waiter: waiter.ID, account: waiter.Account})
	return out, err
}

func (w *witness) Move(ctx context.Context, id core.WaiterID, account string) error {
	w.saw(sight{kind: sawMoved, waiter: id, account: account})
	return w.Store.Move(ctx, id, account)
}
