package core

import (
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Judge says what a binding to an account may do. It is pure, is called while
// the store is locked, and must not call the store.
type Judge interface {
	// Judge gives the fate of a binding of the layer to the account.
	Judge(layer decide.Layer, account string) decide.Fate
	// Fates fills fates, which is as long as accounts, with what a binding to each would meet: for a store that must
	// know it before it looks. An account that is blank stands for all that are not known. Judge, called afterwards for
	// the bindings that were found, says the same.
	Fates(accounts []string, fates []Fates)
	// Standing names what Fates stands on: while it is the same so are they, for a moment or two. False when nobody else asks so.
	Standing() (Standing, bool)
}

// Standing can be compared, and nothing else.
type Standing struct {
	view   *pool.View
	taught uint64
	moment int64
}

// Fates are those of the bindings that a take may find of an account.
type Fates struct {
	Response, Session decide.Fate
	// Substitute is that of the account as a session's substitute.
	Substitute decide.Fate
}

// NotCounted is a count that a store does not keep.
const NotCounted = -1

// Handover means: how long a store that replicas share keeps a slot that came free while somebody waits for takes of Grant.InLine.
const Handover = 10 * time.Millisecond

// Grant is the lease that a take asks for.
type Grant struct {
	ID    LeaseID
	Owner Owner
	// Tenant, Group and Model are kept with the lease, so that a repeated request id finds them.
	Tenant, Group, Model string
	Decision             DecisionID
	// Request is zero when the caller gave no request id.
	Request RequestKey
	TTL     time.Duration
	// TenantCap is the most leases that the tenant may hold; 0 is no cap.
	TenantCap int
	// InLine says that who asks stands in line: of the slots that come free while somebody waits, a
	// store that replicas share keeps newcomers away for Handover, and gives each replica its turn.
	InLine bool
	// NotAfter is the time after which the take must not be carried out, zero is never; a take that
	// comes later fails with context.DeadlineExceeded.
	NotAfter time.Time
	// Budgeted says that NotAfter is what a Select may spend on the store, and that its caller waits for longer: who has something to
	// go on with in the store's place may answer after it.
	Budgeted bool
}

// BoundTake asks for the account that a response or a session is bound to.
type BoundTake struct {
	Grant Grant
	// Response and Session are zero when the request has none.
	Response, Session       BindingKey
	ResponseTTL, SessionTTL time.Duration
	Judge                   Judge
	// SpillSession answers a full session-bound account with the loads, keeping its binding, instead of BoundFull.
	SpillSession bool
	// ResponseAlone asks no other layer once a response binding was found.
	ResponseAlone bool
	// Ordinals are the accounts whose loads are wanted when nothing was taken; Loads is as long and is filled.
	Ordinals []int32
	Loads    []decide.Load
	// AlwaysLoads fills Loads whatever happens.
	AlwaysLoads bool
	// DryRun looks without any effect.
	DryRun bool
}

// BoundStatus is how a TakeBound ended.
type BoundStatus uint8

const (
	// BoundNone means: no layer took; Loads is filled.
	BoundNone BoundStatus = iota
	// BoundTook means: a slot of the bound account was taken (in a dry run: would have been).
	BoundTook
	// BoundFull means: the bound account is fit and full; nothing was taken.
	BoundFull
	// BoundRepeated means: a live lease of the same request id; nothing was taken.
	BoundRepeated
	// BoundReleased means: the request id was released before; nothing was taken.
	BoundReleased
	// BoundTenantFull means: the tenant holds as many leases as it may; nothing was taken or renewed.
	BoundTenantFull
)

// BoundTaken answers a TakeBound.
type BoundTaken struct {
	Status BoundStatus
	// Layer took or is full.
	Layer decide.Layer
	// Lease is what was granted (BoundTook) or found (BoundRepeated); in BoundFull only its Account is set.
	Lease Lease
	// Response and Session are what was found of each binding.
	Response, Session Binding
	// Waiting counts the waiters on a full account.
	Waiting int
}

// Binding is what a take found of a binding.
type Binding struct {
	// Account is blank when there is no binding, or when its layer was not reached.
	Account string
	// Fate is what Judge said of it; a probe that was let through is decide.Take.
	Fate decide.Fate
	// Full says that the account is fit but has no room.
	Full bool
	// Substitute is the account that stands in for an escaped session; blank without one. It is taken, if it
	// is fit and has room, when the binding is kept, or its account full and SpillSession set.
	Substitute string
}

// Choice is an account that a TakeFirst may take.
type Choice struct {
	Ordinal int32
	// Probe lets the choice be taken only while no other probe of the account is out;
	// the lease taken is the probe until it ends.
	Probe bool
}

// FirstTake asks for the first of Order that has room.
type FirstTake struct {
	Grant Grant
	Order []Choice
	// Session is bound to the account taken, over any binding it had; zero binds nothing.
	Session    BindingKey
	SessionTTL time.Duration
	// Substitute binds the account as the session's stand-in for SessionTTL and leaves the binding itself alone.
	Substitute bool
	// Ordinals and Loads as in BoundTake: refilled when nothing was taken.
	Ordinals []int32
	Loads    []decide.Load
}

// FirstStatus is how a TakeFirst ended.
type FirstStatus uint8

const (
	// FirstNone means: none has room; Loads is refilled.
	FirstNone FirstStatus = iota
	// FirstTook means: a slot of Order[Index] was taken.
	FirstTook
	// FirstRepeated means: a live lease of the same request id; nothing was taken.
	FirstRepeated
	// FirstReleased means: the request id was released before; nothing was taken.
	FirstReleased
	// FirstTenantFull means: the tenant holds as many leases as it may; nothing was taken.
	FirstTenantFull
)

// FirstTaken answers a TakeFirst.
type FirstTaken struct {
	Status FirstStatus
	// Index is the place in Order that was taken.
	Index int
	// Lease is what was granted or found.
	Lease Lease
}

// Lease is a lease as the store has it.
type Lease struct {
	ID                   LeaseID
	Account              string
	Owner                Owner
	Tenant, Group, Model string
	Decision             DecisionID
	// GrantedAt and ExpiresAt are on the store's clock.
	GrantedAt, ExpiresAt time.Time
	// Elsewhere says that another replica looks after it: the one that granted, renewed or adopted it last.
	Elsewhere bool
}

// Sign is a sign of life of an owner.
type Sign struct {
	Owner Owner
	// Age is that of the stream on which it came: of two streams of one incarnation the younger one counts.
	Age time.Duration
	// Life is how long it stands; 0 is no sign, and asks for those of others.
	Life time.Duration
}

// SettleKind is what happened to a lease.
type SettleKind uint8

const (
	// SettleFirstToken marks the first token.
	SettleFirstToken SettleKind = iota
	// SettleFinished ends the lease; its outcome counts.
	SettleFinished
	// SettleUnused ends the lease; nothing of it counts. By request id it also marks the id.
	SettleUnused
	// SettleSwitched marks that the request went elsewhere; the lease stays.
	SettleSwitched
	// SettleWithdrawn takes back one handing out of the lease by a Select that
	// failed after its take; the last one ends it and leaves no mark on the request id.
	SettleWithdrawn
)

// Settlement is one event for one lease.
type Settlement struct {
	Kind SettleKind
	// Lease is zero when only Request names it.
	Lease LeaseID
	// Account and GrantedAt are those of the token; they tell an expired lease from an unknown one.
	Account   string
	GrantedAt time.Time
	// Request names the lease for SettleUnused without a token.
	Request RequestKey
	// Sample says that the event carries a first-token time, which counts once per lease.
	Sample bool
	// Bind is bound to the lease's account for BindTTL if the event counts; zero binds nothing.
	Bind    BindingKey
	BindTTL time.Duration
	// Cool is set if the event counts; its zero value sets nothing.
	Cool Cooldown
}

// Settled is what became of a settlement.
type Settled struct {
	Status EventStatus
	// Account is the lease's; blank when it is not known.
	Account string
	// SampleCounts says that the event's first-token time is the lease's first.
	SampleCounts bool
	// Bound says that Bind was bound.
	Bound bool
}

// Renewal asks for a lease's new lifetime.
type Renewal struct {
	Lease     LeaseID
	GrantedAt time.Time
	// TTL is the lifetime; 0 is the one that the lease was last given.
	TTL time.Duration
	// MaxAge bounds the lease's life from its grant; 0 is no bound. A lease that has reached it ends.
	MaxAge time.Duration
}

// Renewed answers a renewal.
type Renewed struct {
	// Status is EventApplied when the lease lives.
	Status    EventStatus
	ExpiresAt time.Time
	// End is how the lease ended, where Status is EventExpired and that is known.
	End LeaseEnd
}

// Adoption asks for a lease to be taken up again.
type Adoption struct {
	// Lease is as its token and its owner tell it. ExpiresAt and Elsewhere are read only with Left: Elsewhere says that one that lives
	// stays with the replica that looks after it.
	Lease Lease
	// TTL is the lifetime of a lease that is taken up; one that lives gets its own again.
	TTL time.Duration
	// Left, unless it is 0, says that nothing is to be renewed: a lease that is taken up ends after so much, and TTL is what a renewal
	// gives it; one that lives keeps its lifetime, and its end unless ExpiresAt is later.
	Left time.Duration
	// MaxAge is as in Renewal.
	MaxAge time.Duration
}

// Adopted answers an adoption.
type Adopted struct {
	// Renewed is EventApplied when the lease lives. EventExpired tells of a mark or of the greatest age,
	// EventAlreadyReleased of a mark, EventUnknown of a grant in the future.
	Renewed
	// Taken says that the lease was taken up by this call; Overcommitted, that its account had no room for it.
	Taken, Overcommitted bool
}

// Swept is what a sweep ended.
type Swept struct {
	// Expired are the leases that this sweep, or a call since the last one, found at their end.
	Expired []Lease
	// More says that the limit was met.
	More bool
	// Next is no later than when the first of the leases that live ends by itself; zero without any.
	Next time.Time
}

// Waiter is one request in line.
type Waiter struct {
	ID WaiterID
	// Account is what it counts on; blank is none: it waits for a slot of its tenant's.
	Account string
	Tenant  string
	// TTL bounds how long a waiter counts that nobody takes away.
	TTL time.Duration
	// AccountCap and TenantCap are the most waiters on the account and of the tenant; 0 is no cap.
	AccountCap, TenantCap int
}

// JoinStatus is how a Join ended.
type JoinStatus uint8

const (
	// JoinedLine means: the waiter counts.
	JoinedLine JoinStatus = iota
	// JoinAccountFull means: as many wait for the account as may.
	JoinAccountFull
	// JoinTenantFull means: as many of the tenant wait as may.
	JoinTenantFull
)

// Joined answers a Join.
type Joined struct {
	Status JoinStatus
	// Waiting counts the account's waiters, this one included if it joined; 0 without an account.
	Waiting int
}

// SignalKind is what may wake a waiter or make a replica look.
type SignalKind uint8

const (
	// SignalFreed means: a slot of the account came free, by a release or a higher limit. It may be left out while nobody waits.
	SignalFreed SignalKind = iota
	// SignalEnded means: a slot of the account came free, since its lease ended by itself or by End. It may be left out likewise.
	SignalEnded
	// SignalCooldown means: a deadline of the account changed.
	SignalCooldown
	// SignalDirectory means: an account or a state was pushed.
	SignalDirectory
	// SignalReleased means: a request id was released that no lease had. It may be left out while nobody waits, and where replicas do not share.
	SignalReleased
)

// Signal is one change.
type Signal struct {
	Kind SignalKind
	// Account is blank in SignalReleased, Request zero in all others.
	Account string
	Request RequestKey
}

// Cooldown is a deadline of an account, or of one upstream model on it.
type Cooldown struct {
	Account string
	// Model is blank for the whole account.
	Model string
	// Until is the deadline; zero is none, which is later than any: it stands until it is removed.
	Until time.Time
	// Keep is how long the deadline stands once it is over, unless it is removed. A store that has very many keeps none so long.
	Keep time.Duration
	// Reason is given back as it was set with the deadline that stands.
	Reason decide.Reason
}

// Outlasts tells that of two deadlines the cooldown's is the later.
func (c *Cooldown) Outlasts(other *Cooldown) bool {
	return !other.Until.IsZero() && (c.Until.IsZero() || c.Until.After(other.Until))
}

// StateOverride is a state pushed over the account's own.
type StateOverride struct {
	Account    string
	State      pool.State
	DrainUntil time.Time
}

// Pushed is what was pushed.
type Pushed struct {
	Revision uint64
	Accounts []pool.Account
	States   []StateOverride
}

// Usage counts what has not ended.
type Usage struct {
	// TenantLeases and TenantWaiting are those of the tenant asked for.
	TenantLeases, TenantWaiting int
	// Leases and Waiting are those of all tenants; Bindings counts bindings of all kinds, or is NotCounted.
	Leases, Waiting, Bindings int
}
