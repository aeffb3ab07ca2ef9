// Package config reads usher's file: strict, pure, and with an error for every mistake in it.
//
// The structs below are the format. Their field comments are the reference page
// docs/config.md, their tags the names, allowed values and bounds.
package config

import "time"

//go:generate go test -run ^TestPage$ -count=1 . -write

// Config is the whole file.
type Config struct {
	// The groups that accounts may be in. Default [], which declares every group that an account names.
	Groups []string `yaml:"groups" max:"128"`
	// The upstream accounts. The key is required; an empty list is an usher without accounts. Default [].
	Accounts []Account `yaml:"accounts" required:"true"`
	// How an account is chosen. Reloaded without a restart.
	Policy Policy `yaml:"policy"`
	// Where and how usher serves. Takes effect at a restart, but for log.level.
	Server Server `yaml:"server"`
}

// Account is one upstream that can serve requests.
type Account struct {
	// The opaque name, unique in the file, at most 128 bytes. Never a credential. Required.
	ID string `yaml:"id" required:"true" max:"128"`
	// A free label, told to the caller with a selection, at most 128 bytes. Default "".
	Type string `yaml:"type" max:"128"`
	// Whose service it is, matched exactly with a request's provider, at most 128 bytes. Default "".
	Provider string `yaml:"provider" max:"128"`
	// Rank among accounts; smaller is better. Default 0.
	Priority int `yaml:"priority" min:"-2147483648" max:"2147483647"`
	// The most requests at a time. Default 0; 0 or less is unlimited.
	MaxConcurrency int `yaml:"max_concurrency" min:"-2147483648" max:"2147483647"`
	// The groups it is in, each at most 128 bytes. Default [], which is only in the pool of all accounts.
	Groups []string `yaml:"groups" max:"128"`
	// Requested model to upstream model, each at most 128 bytes. A key that ends in * stands for every model with
	// that beginning; an exact key wins, then the longest beginning. Default {}, which serves every model under its own name.
	Models map[string]string `yaml:"models" max:"128"`
	// The ways in which it can be called. Default [], which is http_sse.
	Transports []string `yaml:"transports" allowed:"http_sse responses_websockets responses_websockets_v2"`
	// What you decided: active serves; draining takes no new session; paused gives no new lease and keeps
	// sessions; disabled drops them. Default active.
	State string `yaml:"state" allowed:"active draining paused disabled"`
	// When a draining account stops serving its sessions too, as RFC 3339; only with state draining. Default none, which is never.
	DrainUntil time.Time `yaml:"drain_until"`
	// What its upstream says of it; only active serves. Default active.
	Status string `yaml:"status" allowed:"active error disabled"`
	// Whether it may be chosen at all. Default true.
	Schedulable bool `yaml:"schedulable"`
	// Before this instant it is not chosen, as RFC 3339. Default none.
	TempUnschedulableUntil time.Time `yaml:"temp_unschedulable_until"`
	// Until when its upstream limits its rate, as RFC 3339. Default none.
	RateLimitedUntil time.Time `yaml:"rate_limited_until"`
	// Until when its upstream is overloaded, as RFC 3339. Default none.
	OverloadedUntil time.Time `yaml:"overloaded_until"`
	// When it ends, as RFC 3339. Default none, which is never.
	ExpiresAt time.Time `yaml:"expires_at"`
	// Whether it stops serving at expires_at. Default true.
	AutoPauseOnExpired bool `yaml:"auto_pause_on_expired"`
	// Upstream model to the instant, as RFC 3339, before which it is not asked for that model. Default {}.
	ModelLimits map[string]time.Time `yaml:"model_limits" max:"128"`
}

// Policy is how an account is chosen.
type Policy struct {
	// The set of defaults that the rest of policy starts from. Default reference.
	Profile string `yaml:"profile" allowed:"reference" later:"recommended"`
	// The factors' shares in an account's score.
	Weights Weights `yaml:"weights"`
	// How many of the best accounts are drawn from. Default 7; 0 means the default.
	TopK int `yaml:"top_k" min:"0" max:"2147483647"`
	// The weight of the newest sample in the averages of errors and first-token times, above 0 and at most 1. Default 0.2.
	EWMAAlpha float64 `yaml:"ewma_alpha" above:"0" max:"1"`
	// Conversations that stay on their account.
	Session Session `yaml:"session"`
	// Responses that are continued on the account that gave them.
	Response Response `yaml:"response"`
	// Standing in line when nothing is free.
	Wait Waits `yaml:"wait"`
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
}

// Response is the response layer's part of the policy.
type Response struct {
	// How long a response keeps its account after it was last continued. Default 1h; 0s means the default.
	TTL time.Duration `yaml:"ttl" min:"0s"`
	// Only accounts with one of these are looked for by response. Default [], which is every account.
	Transports []string `yaml:"transports" allowed:"http_sse responses_websockets responses_websockets_v2"`
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
