package decide

import (
	"time"

	"usher.internal/core/pool"
)

// Weights are the factors' shares in the score, each finite and ≥ 0.
type Weights struct {
	Priority  float64
	Load      float64
	Queue     float64
	ErrorRate float64
	TTFT      float64
}

// Wait bounds standing in line on one account.
type Wait struct {
	Timeout    time.Duration // how long at most; ≥ 0
	MaxWaiting int           // how many at most; ≥ 0
}

// Backoff is how long an account stays away after an overload: Base, twice as long with each further
// overload in a row, at most Cap, of which chance takes off up to the share Jitter.
type Backoff struct {
	Base   time.Duration // ≥ 0; 0 is no cooldown
	Cap    time.Duration // ≥ Base
	Jitter float64       // 0 to 1
}

// Escape says when a session is served elsewhere although its account could serve it.
type Escape struct {
	ErrorRate  float64       // at this smoothed error rate or above, 0 to 1; 0 is never
	TTFTFactor float64       // above this multiple of the group's median TTFT, > 1; 0 is never
	TTFTFloor  time.Duration // and by more than this above the median; ≥ 0
	Length     time.Duration // how long the substitute is kept; 0 is no escape at all
}

// On tells that sessions may be served elsewhere and stay bound.
func (e *Escape) On() bool { return e.Length > 0 }

// Defaults that stand for unset (zero or negative) values.
const (
	DefaultTopK        = 7
	DefaultTTL         = time.Hour
	DefaultMaxCooldown = 24 * time.Hour
)

// Names of the profiles.
const (
	ProfileReference   = "reference"
	ProfileRecommended = "recommended"
)

// MaxWeight bounds a weight, so that no score overflows.
const MaxWeight = 1e100

// Policy is what an operator can tune in the decision.
type Policy struct {
	Profile            string // the set of defaults it started from
	Weights            Weights
	TopK               int             // how many of the best are drawn from; ≤ 0 is DefaultTopK
	Alpha              float64         // weight of the newest sample in both averages, in (0, 1]
	SessionTTL         time.Duration   // life of a session binding; 0 is DefaultTTL
	ResponseTTL        time.Duration   // life of a response binding; 0 is DefaultTTL
	StickyWait         Wait            // on a full account that the request is bound to
	FallbackWait       Wait            // when load balancing finds nothing free
	ResponseTransports pool.Transports // what the response layer serves; empty is every transport
	Tenants            Tenants         // what one tenant may hold and wait for

	HalfLife     time.Duration // in which what was learned counts half; 0 is for ever
	TTFTPerModel bool          // TTFT is kept for each upstream model of an account

	MaxCooldown      time.Duration // no cooldown is longer; 0 is DefaultMaxCooldown
	Overloaded       Backoff       // after an overload, and after a limit without a time
	AuthFailedPauses bool          // refused credentials pause the account
	HalfOpen         bool          // after a cooldown one probe at a time until a success

	SessionSpill         bool // a session on a full account is served elsewhere at once
	Escape               Escape
	ResponseRequireOwner bool // a response whose account may not serve is refused
}

// TenantLimit bounds one tenant; 0 is no bound.
type TenantLimit struct {
	MaxLeases  int // slots held at a time
	MaxWaiting int // requests in line at a time
}

// Tenants are the limits by tenant.
type Tenants struct {
	Default TenantLimit            // of every tenant without its own; the blank tenant is one
	ByName  map[string]TenantLimit // not changed once the policy is in use
}

// Tenant gives a tenant's limits.
func (p *Policy) Tenant(name string) TenantLimit {
	if limit, ok := p.Tenants.ByName[name]; ok {
		return limit
	}
	return p.Tenants.Default
}

// Reference gives the recorded defaults.
func Reference() Policy {
	return Policy{
		Profile:      ProfileReference,
		Weights:      Weights{Priority: 1, Load: 1, Queue: 0.7, ErrorRate: 0.8, TTFT: 0.5},
		TopK:         DefaultTopK,
		Alpha:        0.2,
		SessionTTL:   DefaultTTL,
		ResponseTTL:  DefaultTTL,
		StickyWait:   Wait{Timeout: 45 * time.Second, MaxWaiting: 3},
		FallbackWait: Wait{Timeout: 30 * time.Second, MaxWaiting: 100},
		MaxCooldown:  DefaultMaxCooldown,
		Overloaded:   Backoff{Base: time.Second, Cap: time.Minute, Jitter: 0.2},
	}
}

// Recommended gives the same decision, and lets go of what is stale, ailing or full.
func Recommended() Policy {
	p := Reference()
	p.Profile = ProfileRecommended
	p.HalfLife = 10 * time.Minute
	p.AuthFailedPauses, p.HalfOpen = true, true
	p.SessionSpill = true
	p.Escape = Escape{ErrorRate: 0.5, TTFTFactor: 3, TTFTFloor: 100 * time.Millisecond, Length: 5 * time.Minute}
	return p
}

// Longest gives the longest cooldown.
func (p *Policy) Longest() time.Duration {
	if p.MaxCooldown <= 0 {
		return DefaultMaxCooldown
	}
	return p.MaxCooldown
}

// After gives the cooldown after n overloads in a row, n ≥ 1; chance is in [0, 1).
func (b Backoff) After(n int, chance float64) time.Duration {
	d := b.Base
	for ; n > 1 && d > 0 && d < b.Cap; n-- {
		d += min(d, b.Cap-d)
	}
	return d - time.Duration(float64(d)*(b.Jitter*chance))
}

// Limit gives the number of candidates that are drawn from, out of n.
func (p *Policy) Limit(n int) int {
	k := p.TopK
	if k <= 0 {
		k = DefaultTopK
	}
	return min(k, n)
}
