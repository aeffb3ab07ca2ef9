package config

import "time"

// Policy is how an account is chosen.
type Policy struct {
	// The set of defaults that the rest of policy starts from: recommended lets go of what is stale, ailing or full;
	// reference decides as recorded. The difference: docs/profiles.md. Default recommended.
	Profile string `yaml:"profile" allowed:"recommended reference"`
	// The factors' shares in an account's score.
	Weights Weights `yaml:"weights"`
	// How many of the best accounts are drawn from. Default 7; 0 means the default.
	TopK int `yaml:"top_k" min:"0" max:"2147483647"`
	// The weight of the newest sample in the averages of errors and first-token times, above 0 and at most 1. Default 0.2.
	EWMAAlpha float64 `yaml:"ewma_alpha" above:"0" max:"1"`
	// The time in which what was learned of errors and first tokens counts half. Default 10m (reference 0s); 0s is for ever.
	HalfLife time.Duration `yaml:"half_life" min:"0s"`
	// Whether first-token times are kept for each upstream model of an account. Default false.
	TTFTPerModel bool `yaml:"ttft_per_model"`
	// Conversations that stay on their account.
	Session Session `yaml:"session"`
	// Responses that are continued on the account that gave them.
	Response Response `yaml:"response"`
	// Standing in line when nothing is free.
	Wait Waits `yaml:"wait"`
	// Staying away from an account whose upstream said so.
	Cooldown Cooldown `yaml:"cooldown"`
	// What one tenant may hold and wait for.
	Tenants Tenants `yaml:"tenants"`
}

// Weights are the factors' shares in an account's score.
type Weights struct {
	// The share of the account's priority. Default 1; 0 leaves it out.
	Priority float64 `yaml:"priority" min:"0"`
	// The share of free room. Default 1; 0 leaves it out.
	Load float64 `yaml:"load" min:"0"`
	// The share of a short line. Default 0.7; 0 leaves it out.
	Queue float64 `yaml:"queue" min:"0"`
	// The share of few errors. Default 0.8; 0 leaves it out.
	ErrorRate float64 `yaml:"error_rate" min:"0"`
	// The share of a fast first token. Default 0.5; 0 leaves it out.
	TTFT float64 `yaml:"ttft" min:"0"`
}

// Session is the session layer's part of the policy.
type Session struct {
	// How long a conversation keeps its account after its last request. Default 1h; 0s means the default.
	TTL time.Duration `yaml:"ttl" min:"0s"`
	// When its account is full: wait for it, or spill, which is to be served elsewhere at once and stay bound. Default spill (reference wait).
	WhenFull string `yaml:"when_full" allowed:"wait spill"`
	// When its account does badly.
	Escape Escape `yaml:"escape"`
}

// Escape says when a conversation is served elsewhere although its account could serve it, and stays bound.
type Escape struct {
	// At this smoothed error rate or above. Default 0.5 (reference 0); 0 is never.
	ErrorRate float64 `yaml:"error_rate" min:"0" max:"1"`
	// Above this multiple of the group's median first-token time, more than 1. Default 3 (reference 0); 0 is never.
	TTFTFactor float64 `yaml:"ttft_factor" min:"0"`
	// And by more than this above that median: upstreams that all answer fast are not told apart by chance. Default 100ms (reference 0s); 0s is any difference.
	TTFTFloor time.Duration `yaml:"ttft_floor" min:"0s"`
	// How long the substitute is kept, also after spilling. Default 5m (reference 0s); 0s is no escape: one whose account
	// is limited for a while is bound anew.
	Length time.Duration `yaml:"length" min:"0s"`
}

// Response is the response layer's part of the policy.
type Response struct {
	// How long a response keeps its account after it was last continued. Default 1h; 0s means the default.
	TTL time.Duration `yaml:"ttl" min:"0s"`
	// Only accounts with one of these are looked for by response. Default [], which is every account.
	Transports []string `yaml:"transports" allowed:"http_sse responses_websockets responses_websockets_v2"`
	// When the account may not serve: fall_through, which asks the next layer, or require_owner, which refuses the request. Default fall_through.
	WhenUnavailable string `yaml:"when_unavailable" allowed:"fall_through require_owner"`
}

// Waits are the bounds of standing in line.
type Waits struct {
	// On a full account that the request is bound to.
	Sticky StickyWait `yaml:"sticky"`
	// When no account has room.
	Fallback FallbackWait `yaml:"fallback"`
}

// StickyWait bounds the line of a bound account.
type StickyWait struct {
	// How long at most. Default 45s; 0s is not at all.
	Timeout time.Duration `yaml:"timeout" min:"0s"`
	// How many at most on one account. Default 3; 0 is nobody.
	MaxWaiting int `yaml:"max_waiting" min:"0" max:"2147483647"`
}

// FallbackWait bounds the line when no account has room.
type FallbackWait struct {
	// How long at most. Default 30s; 0s is not at all.
	Timeout time.Duration `yaml:"timeout" min:"0s"`
	// How many at most on one account. Default 100; 0 is nobody.
	MaxWaiting int `yaml:"max_waiting" min:"0" max:"2147483647"`
}

// Cooldown says how long an account stays away from what.
type Cooldown struct {
	// No cooldown is longer. Default 24h; 0s means the default.
	Max time.Duration `yaml:"max" min:"0s"`
	// Whether an account that comes back takes one request at a time until one succeeds. Default true (reference false).
	HalfOpen bool `yaml:"half_open"`
	// Whether refused credentials keep an account away until usher starts again, any of those on one Redis. Default true (reference false).
	AuthFailedPauses bool `yaml:"auth_failed_pauses"`
	// After an overload, and after a limit whose end the upstream did not tell.
	Overloaded Overloaded `yaml:"overloaded"`
}

// Overloaded is a cooldown that doubles with each overload in a row.
type Overloaded struct {
	// The first one. Default 1s; 0s is none.
	Base time.Duration `yaml:"base" min:"0s"`
	// The longest one, not below base. Default 1m.
	Cap time.Duration `yaml:"cap" min:"0s"`
	// The share that chance may take off, from 0 to 1. Default 0.2; 0 is nothing.
	Jitter float64 `yaml:"jitter" min:"0" max:"1"`
}

// Tenants are bounds by tenant.
type Tenants struct {
	// Of every tenant that by_name does not name; requests without a tenant are one.
	Default TenantLimit `yaml:"default"`
	// Tenant to its own bounds, in place of default; a name has at most 128 bytes. Default {}.
	ByName map[string]TenantLimit `yaml:"by_name" max:"128"`
}

// TenantLimit bounds one tenant.
type TenantLimit struct {
	// The most slots held at a time; who asks for more stands in line for one of the tenant's own. Default 0; 0 is no bound.
	MaxLeases int `yaml:"max_leases" min:"0" max:"2147483647"`
	// The most requests in line at a time. Default 0; 0 is no bound, but wait.fallback.max_waiting while the tenant holds max_leases.
	MaxWaiting int `yaml:"max_waiting" min:"0" max:"2147483647"`
}
