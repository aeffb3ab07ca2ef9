package core

import (
	"context"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Store is the truth that replicas share, or that one process keeps for itself.
//
// Every method is safe for concurrent use. A method may block for at most the
// context's time; on an error nothing is promised but that no binding was
// deleted. Errors are *Error of KindStoreUnavailable, or the context's own.
// One clock decides all expiry: the store's.
type Store interface {
	Leases
	Owners
	Line
	Cooldowns
	Sharing
	Directory
	Base
}

// Leases holds slots and bindings. The calls have the shape of the decision:
// each is atomic, and nothing is read in one call and written in another.
// Each call is one round trip on a networked store, however many accounts there are.
type Leases interface {
	// TakeBound looks up the request id, then the response binding, then the
	// session binding. A bound account that is fit and has room is taken and the
	// binding renewed; else what was found is answered with the loads.
	// Idempotent by request id and by lease id. An unfit hit has no effect but the fate that Judge named.
	TakeBound(ctx context.Context, take *BoundTake) (BoundTaken, error)
	// TakeFirst takes the first choice with room and binds the session to it.
	// When none has room, nothing changes and the loads are refilled as of the same instant.
	// Idempotent by request id and by lease id.
	TakeFirst(ctx context.Context, take *FirstTake) (FirstTaken, error)
	// Settle applies events to leases, in order, and fills results, which is as
	// long as events. Idempotent: each kind of event counts once per lease while
	// it lives and for the mark's life after it.
	Settle(ctx context.Context, events []Settlement, results []Settled) error
	// Renew gives leases a whole new lifetime from now, none beyond its greatest age; results is as long as renewals. Idempotent.
	Renew(ctx context.Context, renewals []Renewal, results []Renewed) error
	// Sweep ends at most limit leases, bindings, marks and waiters whose time is over, and
	// says which leases it ended. It only tidies: every other call already
	// treats what is over as ended. Idempotent.
	Sweep(ctx context.Context, limit int) (Swept, error)
}

// Owners is what the leases of one owner need together: an owner that is gone, or that holds what the store has lost.
// Each call is one round trip on a networked store.
type Owners interface {
	// LeasesOf lists the leases of an owner that have not ended, those of all its incarnations, in no order. A blank name owns nothing.
	// It takes time in the owner's leases, not in all.
	LeasesOf(ctx context.Context, name string) ([]Lease, error)
	// End ends leases that have not ended, and answers which: their slots are free and their request ids may take
	// anew. Like an expiry it leaves a mark, so that what is reported later counts once, as EventExpired; a
	// sweep does not tell of it. A lease that has ended is left alone and out of the answer, which makes it idempotent.
	End(ctx context.Context, ids []LeaseID, how LeaseEnd) ([]Lease, error)
	// Adopt takes leases up that the store does not know, whether or not their accounts have room, and renews those that it
	// does know, unless Left says that nothing is to be renewed; results is as long as adoptions. A lease that has left a mark stays ended, unless all that is known of it is an
	// event that ends none: that may have come before the heartbeat. One that lives without an owner gets the adoption's. Idempotent by lease id.
	Adopt(ctx context.Context, adoptions []Adoption, results []Adopted) error
	// Hear takes down that this replica has heard of an owner, for the sign's life, and answers whether another replica heard of it on a
	// younger stream, whose life is not over. With a blank life it only asks: whether another replica was the last to hear of it, on whatever
	// stream, and that life is not over. A store of one replica answers false. Idempotent.
	Hear(ctx context.Context, sign Sign) (elsewhere bool, err error)
}

// Line counts who waits, on every replica, and passes on what may wake them.
type Line interface {
	// Join counts a waiter on an account unless a cap is met. Idempotent by waiter id. One round trip.
	Join(ctx context.Context, waiter *Waiter) (Joined, error)
	// Move counts the waiter on another account, one that counted on none too; a waiter that is not known is left alone. Idempotent. One round trip.
	Move(ctx context.Context, id WaiterID, account string) error
	// Leave counts the waiter no more; a waiter that is not known is fine. Idempotent. One round trip.
	Leave(ctx context.Context, id WaiterID) error
	// Answered tells of each request id whether a Select of it is answered without a slot: a lease of it lives, or it was released. answered
	// is as long as requests. One round trip for each few dozen on a networked store.
	Answered(ctx context.Context, requests []RequestKey, answered []bool) error
	// Signals delivers what changed until ctx ends, then closes the channel.
	// Signals may be merged or lost: a receiver polls slowly besides.
	Signals(ctx context.Context) (<-chan Signal, error)
}

// Cooldowns keeps deadlines before which an account, or a model on it, takes no new request, and those of which the probation
// is not over. Probes are part of taking: see Choice.Probe.
type Cooldowns interface {
	// Cool sets a deadline; the later of two stands. Answers the one that stands. Idempotent. One round trip.
	Cool(ctx context.Context, cooldown Cooldown) (Cooldown, error)
	// Warm removes the deadline of an account, or of one model on it, unless a later one than the given stands: its cooldown and
	// its probation are over. Idempotent. One round trip.
	Warm(ctx context.Context, cooldown Cooldown) error
	// Cooling lists the deadlines that stand, over or not, by account and model. One round trip.
	Cooling(ctx context.Context) ([]Cooldown, error)
}

// Sharing passes on what replicas have learned of accounts. It takes part in no truth: who hears nothing decides by what it learned itself.
type Sharing interface {
	// ShareStats puts what this replica has learned in the place of what it put before, to stand for life, and gives what
	// each other replica put whose life is not over, in no order. A blank own takes back what was put. Idempotent. One round trip.
	ShareStats(ctx context.Context, own []byte, life time.Duration) (others [][]byte, err error)
}

// Directory keeps accounts and states that were pushed by API.
type Directory interface {
	// PutAccount adds or replaces an account. Idempotent. One round trip.
	PutAccount(ctx context.Context, account pool.Account) (revision uint64, err error)
	// DropAccount removes a pushed account; one that is not known is fine. Idempotent. One round trip.
	DropAccount(ctx context.Context, id string) (revision uint64, err error)
	// PutState sets an account's state, over the one that the account was pushed or configured with. Idempotent. One round trip.
	PutState(ctx context.Context, state StateOverride) (revision uint64, err error)
	// Pushed lists all that was pushed, by id, with the revision it is of; nil lists when since is still the revision. One round trip.
	Pushed(ctx context.Context, since uint64) (Pushed, error)
}

// Base is what the other calls stand on.
type Base interface {
	// Register tells the store the accounts by ordinal, with their limits. Takes and
	// loads name accounts by ordinal from then on. A roster only grows: an
	// ordinal keeps its id for the life of the process. What is in use is never reset. Idempotent.
	Register(ctx context.Context, roster *Roster) error
	// Loads fills loads with those of the given ordinals, as of one instant. One round trip.
	Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error
	// Usage says what a tenant holds and waits for, and all tenants together. One round trip.
	Usage(ctx context.Context, tenant string) (Usage, error)
	// Secret is the key that all replicas of the store sign lease tokens with, 32 bytes, made at the first call. Idempotent.
	Secret(ctx context.Context) ([]byte, error)
	// Close ends what the store has running and waits for it. Idempotent.
	Close() error
}

// Roster is the accounts by ordinal.
type Roster struct {
	// Accounts[i] is the account of ordinal i.
	Accounts []RosterEntry
}

// RosterEntry is one account of a roster.
type RosterEntry struct {
	ID string
	// Limit is the most leases at a time; 0 or less is unlimited. A limit below what is in use grants nothing until it drains.
	Limit int
	// Left says that no roster of this process lists the account any more: what it was told of it before stands, and a store that
	// others share may forget the account once nobody has listed it for long.
	Left bool
	// Closed grants nothing, whatever the limit and whatever is in use.
	Closed bool
}
