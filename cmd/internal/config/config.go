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
	// What upstreams' answers mean, where it differs from the table that usher outcomes prints: the last word on a provider,
	// status and code. Reloaded without a restart. Default [].
	Outcomes []Outcome `yaml:"outcomes"`
	// Where and how usher serves. Takes effect at a restart, but for log.level.
	Server Server `yaml:"server"`
	// What usher keeps in its own memory. Takes effect at a restart.
	Memory Memory `yaml:"memory"`
	// The store that several ushers share, in place of memory. Takes effect at a restart.
	Redis Redis `yaml:"redis"`
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

// Outcome says what an upstream's answer means.
type Outcome struct {
	// Whose answer, at most 128 bytes, compared without case. Default "", which is any provider's.
	Provider string `yaml:"provider" max:"128"`
	// The HTTP status, 100 to 599, or 1 to 5 for all that begin with that digit; status, code or both are needed. Default 0, which is any.
	Status int `yaml:"status" min:"0" max:"599"`
	// The error's code or type, at most 128 bytes, compared without case. Default "", which is any.
	Code string `yaml:"code" max:"128"`
	// What it means. Required.
	Outcome string `yaml:"outcome" required:"true" allowed:"success account_error upstream_timeout client_error cancelled caller_timeout rate_limited quota_exhausted auth_failed overloaded"`
	// What the cooldown covers: the account or the model on it; only for rate_limited, quota_exhausted and overloaded. Default account.
	Scope string `yaml:"scope" allowed:"account model"`
}

// setDefaults fills an outcome before its fields are read.
func (o *Outcome) setDefaults() { o.Scope = "account" }
