package core

import (
	"context"
	"sync"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Defaults of OwnerTerms.
const (
	DefaultHeartbeatInterval = 3 * time.Second
	DefaultHeartbeatTimeout  = 10 * time.Second
	DefaultOwnerGrace        = 10 * time.Second
)

// OwnerTerms are what an attached owner keeps to; 0 is the default of each.
type OwnerTerms struct {
	// HeartbeatInterval is how often an owner should send a heartbeat.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is the silence after which it counts as gone, though it is attached.
	HeartbeatTimeout time.Duration
	// OwnerGrace is how long the leases of one that is gone stand for it to come back.
	OwnerGrace time.Duration
}

func (t OwnerTerms) orDefaults() OwnerTerms {
	if t.HeartbeatInterval <= 0 {
		t.HeartbeatInterval = DefaultHeartbeatInterval
	}
	if t.HeartbeatTimeout <= 0 {
		t.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	if t.OwnerGrace <= 0 {
		t.OwnerGrace = DefaultOwnerGrace
	}
	return t
}

// OwnerTerms gives the terms in force, defaults filled in.
func (s *Scheduler) OwnerTerms() OwnerTerms { return s.owners.terms }

// OwnerEventKind is what an attached owner is told.
type OwnerEventKind uint8

const (
	// OwnerLeaseLost means: a lease of the owner's ended without its doing.
	OwnerLeaseLost OwnerEventKind = iota + 1
	// OwnerAccountState means: an account on which the owner holds leases changed.
	OwnerAccountState
	// OwnerOverflow means: more leases were lost than are kept to be told. A heartbeat, best on a new attachment, makes the rest of those that it lists known.
	OwnerOverflow
)

// OwnerEvent is one thing that an attached owner is told.
type OwnerEvent struct {
	Kind OwnerEventKind
	// Token and End are OwnerLeaseLost's.
	Token string
	End   LeaseEnd
	// Account is the account of the lease, or the one that changed.
	Account string
	// State, Blocked and BlockedUntil are OwnerAccountState's, as in AccountSnapshot.
	State        pool.State
	Blocked      decide.Reason
	BlockedUntil time.Time
}

// Attachment is an owner's one stream. It is safe for concurrent use.
type Attachment struct {
	s  *Scheduler
	of *incarnation
	// since is when it began.
	since time.Time
	// done is closed once err is set.
	done chan struct{}
	err  error
	// ready holds one token while something waits to be taken.
	ready chan struct{}

	// What follows is guarded by owners.mu.
	accounts map[string]struct{} // whose state is to be told
	told     map[LeaseID]struct{}
	fresh    bool // blocked accounts were not told yet

	// beat is held over calls of the store, so that heartbeats count one after another. It guards missing.
	beat sync.Mutex
	// missing are the leases that were not in the last heartbeat, though they had been granted when it came.
	missing map[LeaseID]struct{}
}

var (
	errTakenOver  = &Error{Kind: KindClosed, Text: "another attachment of this owner took over"}
	errDetached   = &Error{Kind: KindClosed, Text: "the attachment was given up"}
	errNotRunning = &Error{Kind: KindClosed, Text: "the scheduler is closed"}
)

// Attach makes a stream the owner's one. An older one of the same incarnation ends. With replacesPrevious
// the leases of the name's earlier incarnations end first; if that fails nothing is attached, and it can be tried again.
// Of what the owner lost while it was away, as far as it is kept, the attachment tells at once, but for what the store has all the same.
// Errors: KindClosed, KindInternal for an owner without name or incarnation, KindStoreUnavailable, ctx's own.
func (s *Scheduler) Attach(ctx context.Context, owner Owner, replacesPrevious bool) (*Attachment, error) {
	if owner.Name == "" || owner.Incarnation == "" {
		return nil, &Error{Kind: KindInternal, Text: "an owner needs a name and an incarnation"}
	}
	if s.closed.Load() {
		return nil, errNotRunning
	}
	i := s.owners.enter(owner, s.clock.Now())
	if replacesPrevious {
		if err := s.replacePrevious(ctx, i); err != nil {
			s.owners.leave(i)
			return nil, err
		}
	}
	s.recall(ctx, i)
	a := &Attachment{
		s: s, of: i, since: s.clock.Now(), done: make(chan struct{}), ready: make(chan struct{}, 1),
		accounts: make(map[string]struct{}), told: make(map[LeaseID]struct{}), fresh: true,
	}
	if err := s.owners.attach(a, s.clock.Now()); err != nil {
		return nil, err
	}
	// A heartbeat tells it again, so an attachment does not fail with the store.
	_, _ = a.hear(ctx)
	return a, nil
}

// hear has the store know that the owner is heard here, and tells whether another replica hears of it on a younger stream.
func (a *Attachment) hear(ctx context.Context) (elsewhere bool, err error) {
	terms := a.s.owners.terms
	return a.s.store.Hear(ctx, Sign{Owner: a.of.owner, Age: a.s.clock.Now().Sub(a.since), Life: terms.HeartbeatTimeout + terms.OwnerGrace})
}

// recall forgets what is kept for the owner to hear of that lives: it ended while this replica alone was without the store that all share.
func (s *Scheduler) recall(ctx context.Context, i *incarnation) {
	if !s.owners.keepsLost(i) {
		return
	}
	held, err := s.store.LeasesOf(ctx, i.owner.Name)
	if err != nil {
		return // an attachment does not fail with the store
	}
	s.owners.recall(i, held)
}

// replacePrevious ends the leases of the incarnations that came before.
func (s *Scheduler) replacePrevious(ctx context.Context, i *incarnation) error {
	held, err := s.store.LeasesOf(ctx, i.owner.Name)
	if err != nil {
		return err
	}
	return s.endLeases(ctx, s.owners.earlier(i, held), LeaseEndReplaced)
}

// Detach gives the attachment up: from now on the owner has its grace to come back. Idempotent; without effect after a takeover.
func (a *Attachment) Detach() { a.s.owners.detach(a, a.s.clock.Now()) }

// Done is closed when the attachment has ended: by a takeover, Detach or the scheduler's Close.
func (a *Attachment) Done() <-chan struct{} { return a.done }

// Err says why the attachment has ended; nil while it has not.
func (a *Attachment) Err() error {
	select {
	case <-a.done:
		return a.err
	default:
		return nil
	}
}

// Ready has a token when there may be something to take.
func (a *Attachment) Ready() <-chan struct{} { return a.ready }

// Take gives what there is to tell, which is then told, and never waits: leases lost, then accounts in
// their latest state, then at most one OwnerOverflow. What is told of a lease may be told again. Once the attachment has ended it gives Err.
func (a *Attachment) Take() ([]OwnerEvent, error) {
	w := a.s.registry.current.Load()
	now := a.s.clock.Now()
	lost, accounts, overflowed, err := a.s.owners.take(a)
	if err != nil {
		return nil, err
	}
	events := make([]OwnerEvent, 0, len(lost)+len(accounts)+1)
	for n := range lost {
		l := &lost[n].lease
		events = append(events, OwnerEvent{Kind: OwnerLeaseLost, Token: a.s.token(l), End: lost[n].how, Account: l.Account})
	}
	for _, id := range accounts {
		account := w.account(id)
		e := OwnerEvent{Kind: OwnerAccountState, Account: id, State: account.State}
		e.Blocked, e.BlockedUntil = a.s.blocked(account, now)
		events = append(events, e)
	}
	if overflowed {
		events = append(events, OwnerEvent{Kind: OwnerOverflow})
	}
	return events, nil
}

// Next waits for something to take, and takes it. Errors: Err's, ctx's own.
func (a *Attachment) Next(ctx context.Context) ([]OwnerEvent, error) {
	for {
		events, err := a.Take()
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-a.ready:
		case <-a.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
