// Package model is the scheduler in the plainest words: one step after another, lists that are searched from end to end,
// and nothing of usher's own, so that the two can be compared. It is for tests only.
//
// It does not draw: where several answers are right it says which, is told the one that was given, and goes on from there.
package model

import (
	"fmt"
	"slices"
	"time"
)

// State is what an operator set.
type State int

// The states of an account.
const (
	Active State = iota
	Draining
	Paused
	Disabled
)

// Account is one upstream. Without models it serves all.
type Account struct {
	ID             string
	Limit          int // 0 is no limit
	State          State
	Groups, Models []string
}

// Owner is one life of a gateway.
type Owner struct{ Name, Incarnation string }

// Request asks for an account.
type Request struct {
	Group, Model, Session, Tenant, ID string
	Excluded                          []string
	Owner                             Owner
	// Wait is how long it stands in line at most, its caller's deadline counted; 0 is not at all.
	TTL, Wait time.Duration
	// Behind is how many priorities it is below the highest.
	Behind int
}

// End is how a lease ended.
type End int

// The ends of a lease; the zero value lives.
const (
	Released End = iota + 1
	Expired
	OwnerSilent
	Forgotten
	Replaced
	MaxAge
)

// Status is what became of an event.
type Status int

// The statuses of an event.
const (
	Applied Status = iota + 1
	AlreadyApplied
	AlreadyReleased
	HasExpired
	ReleaseRecorded
)

// Kind is what happened to a lease.
type Kind int

// The kinds of events.
const (
	FirstToken Kind = iota
	Switched
	Unused
	Finished
)

// Lease is the right to one slot, ended or not.
type Lease struct {
	Request
	Token            string
	Account          string
	Granted, Expires time.Duration // since the start
	End              End
	ended            time.Duration
	seen             map[Kind]bool
}

// Waiter is a request in line.
type Waiter struct {
	Request
	// Bound is the account that it waits for alone; blank is any.
	Bound string
	// Account is where it counts as waiting.
	Account string
	// Until is when its wait is over.
	Until        time.Duration
	arrived, seq int64
}

// Rules are what all keep to. Times are whole lives; 0 is no limit, cap or bound.
type Rules struct {
	Spill                     bool // a session on a full account is served elsewhere at once
	MaxAge                    time.Duration
	FallbackWait, StickyWait  time.Duration
	FallbackMost, StickyMost  int // that wait on one account
	TenantLeases, TenantWaits int
	MaxCooldown, Backoff      time.Duration
	HeartbeatTimeout, Grace   time.Duration
	Aging                     time.Duration
}

// scope is what a session belongs to; coolKey, with a blank model, is a whole account; requestKey is what a request id belongs to.
type (
	scope      struct{ tenant, group, session string }
	coolKey    struct{ account, model string }
	requestKey struct{ tenant, owner, id string }
)

// Model is everything there is, at one time.
type Model struct {
	Rules
	Now      time.Duration // since the start
	Accounts []Account
	Leases   []*Lease // ended ones too
	Line     []*Waiter

	sessions map[scope]string
	released map[requestKey]bool
	cools    map[coolKey]time.Duration
	turns    map[string]int64 // of tenants that wait
	events   int64
	lives    []*life
	passed   []passed
}

// LeaseEnd is what losses are counted by.
type LeaseEnd struct {
	Owner, Account string
	How            End
}

// New makes a model without leases.
func New(rules Rules, accounts []Account) *Model {
	return &Model{
		Rules: rules, Accounts: accounts,
		sessions: map[scope]string{}, released: map[requestKey]bool{}, cools: map[coolKey]time.Duration{},
		turns: map[string]int64{},
	}
}

func (r *Request) scope() scope        { return scope{r.Tenant, r.Group, r.Session} }
func (r *Request) request() requestKey { return requestKey{r.Tenant, r.Owner.Name, r.ID} }
func (m *Model) event() int64          { m.events++; return m.events }
func (m *Model) account(id string) *Account {
	return &m.Accounts[slices.IndexFunc(m.Accounts, func(a Account) bool { return a.ID == id })]
}

func (m *Model) held(match func(*Lease) bool) (n int) {
	for _, l := range m.Leases {
		if l.End == 0 && match(l) {
			n++
		}
	}
	return n
}

// InUse counts an account's leases that have not ended.
func (m *Model) InUse(account string) int {
	return m.held(func(l *Lease) bool { return l.Account == account })
}

// Waiting counts who waits on an account.
func (m *Model) Waiting(account string) (n int) {
	for _, w := range m.Line {
		if w.Account == account {
			n++
		}
	}
	return n
}

// Ends counts leases that ended so, until a time.
func (m *Model) Ends(by LeaseEnd, until time.Duration) (n int) {
	for _, l := range m.Leases {
		if l.ended <= until && by == (LeaseEnd{l.Owner.Name, l.Account, l.End}) {
			n++
		}
	}
	return n
}

// CooledUntil gives when the account takes requests again, 0 when nothing keeps it.
func (m *Model) CooledUntil(account, model string) time.Duration {
	if at := m.cools[coolKey{account, model}]; at > m.Now {
		return at
	}
	return 0
}

// NextDeadline gives when something ends by itself, after a time; 0 for never.
func (m *Model) NextDeadline(after time.Duration) (next time.Duration) {
	sooner := func(at time.Duration) {
		if at > after && (next == 0 || at < next) {
			next = at
		}
	}
	for _, l := range m.Leases {
		if l.End == 0 {
			sooner(l.Expires)
		}
	}
	for _, w := range m.Line {
		sooner(w.Until)
	}
	for _, at := range m.cools { // order-free: the least of all
		sooner(at)
	}
	for _, i := range m.lives {
		sooner(i.due)
	}
	return next
}

// Advance lets time pass: what is over ends, in the order of time.
func (m *Model) Advance(to time.Duration) {
	for at := m.NextDeadline(m.Now); at != 0 && at <= to; at = m.NextDeadline(at) {
		m.Now = at
		for _, l := range m.Leases {
			if l.End == 0 && l.Expires <= at {
				how := Expired
				if m.MaxAge > 0 && l.Expires >= l.Granted+m.MaxAge {
					how = MaxAge
				}
				m.lose(l, how)
			}
		}
		m.silence()
	}
	m.Now = to
}

// Report applies an event to a lease.
func (m *Model) Report(l *Lease, kind Kind, cool func()) Status {
	ended := l.End
	switch {
	case kind == FirstToken || kind == Switched:
		if l.seen[kind] {
			return AlreadyApplied
		}
		l.seen[kind] = true
	case ended == Released || l.seen[Finished]:
		return AlreadyReleased
	default:
		l.seen[Finished] = true
		if ended == 0 {
			m.release(l)
		}
		if kind == Finished {
			cool()
		}
	}
	if ended > Released {
		return HasExpired
	}
	return Applied
}

func (m *Model) release(l *Lease) {
	l.End = Released
	if l.ID != "" {
		m.released[l.request()] = true
	}
}

// ReleaseID gives back what a request id has or will have.
func (m *Model) ReleaseID(r *Request) Status {
	if l := m.leaseOf(r); l != nil {
		return m.Report(l, Unused, nil)
	}
	if m.released[r.request()] {
		return AlreadyReleased
	}
	m.released[r.request()] = true
	return ReleaseRecorded
}

func (m *Model) leaseOf(r *Request) *Lease {
	for _, l := range m.Leases {
		if r.ID != "" && l.End == 0 && l.request() == r.request() {
			return l
		}
	}
	return nil
}

// Cool keeps an account, or one model on it, away: the later of two deadlines stands, none is beyond the longest.
func (m *Model) Cool(account, model string, after time.Duration) {
	if after <= 0 {
		after = m.Backoff
	}
	key := coolKey{account, model}
	m.cools[key] = max(m.cools[key], m.Now+min(after, m.MaxCooldown))
}

// Renew gives a lease a whole life.
func (m *Model) Renew(l *Lease, ttl time.Duration) Status {
	switch l.End {
	case 0:
	case Released:
		return AlreadyReleased
	default:
		return HasExpired
	}
	if ttl > 0 {
		l.TTL = ttl
	}
	l.Expires = m.Now + l.TTL
	if m.MaxAge > 0 {
		l.Expires = min(l.Expires, l.Granted+m.MaxAge)
	}
	return Applied
}

// Granted tells that a request was given a slot of an account; w is nil when it did not stand in line.
func (m *Model) Granted(r *Request, w *Waiter, account string) (*Lease, error) {
	v := m.Judge(r)
	if v.Answer != Takes || !slices.Contains(v.Accounts, account) {
		return nil, fmt.Errorf("was given %s, which should be: %v", account, v)
	}
	if w != nil {
		if !slices.Contains(m.Line, w) {
			return nil, fmt.Errorf("was served and does not stand in line")
		}
		m.turn(w, v)
		m.turns[r.Tenant] = m.event()
		m.Leave(w)
	}
	l := &Lease{Request: *r, Account: account, Granted: m.Now, seen: map[Kind]bool{}}
	m.Renew(l, r.TTL)
	m.Leases = append(m.Leases, l)
	m.settleBinding(r, v)
	if r.Session != "" && !v.Escapes {
		m.sessions[r.scope()] = account
	}
	return l, nil
}
