package conformance

import (
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Provider is the one platform that the recorded scheduler serves; a driver asks for it.
const Provider = "openai"

// World is what stands before the first request.
type World struct {
	Config                 *Config   `json:"config"` // nil is the built-in defaults
	Accounts               []Account `json:"accounts"`
	SessionBindings        []Binding `json:"session_bindings"`
	ResponseBindingsLocal  []Binding `json:"response_bindings_local"`
	ResponseBindingsShared []Binding `json:"response_bindings_shared"`
	Reports                []Sample  `json:"reports"` // applied before the request
	ConcurrencyDisabled    bool      `json:"concurrency_disabled"`
	StickyCacheDisabled    bool      `json:"sticky_cache_disabled"`
	Faults                 Faults    `json:"faults"`
}

// Pool gives the accounts in listing order, with their ordinals; instants are relative to start.
func (w *World) Pool(start time.Time) []pool.Account {
	out := make([]pool.Account, len(w.Accounts))
	for i := range w.Accounts {
		out[i] = w.Accounts[i].Pool(start)
		out[i].Ordinal = i
	}
	return out
}

// Policy gives the record's policy: the reference profile with the record's settings.
// Its response layer serves the second socket version only, as the record's does.
func (w *World) Policy() decide.Policy {
	p := decide.Reference()
	p.ResponseTransports = pool.TransportsOf(pool.ResponsesWebSocketsV2)
	c := w.Config
	if c == nil {
		return p
	}
	p.TopK, p.Weights = c.TopK, c.Weights.Decide()
	p.SessionTTL, p.ResponseTTL = ttl(c.SessionTTLSeconds), ttl(c.ResponseTTLSeconds)
	p.StickyWait = decide.Wait{Timeout: millis(c.StickyWaitTimeoutMS), MaxWaiting: c.StickyMaxWaiting}
	p.FallbackWait = decide.Wait{Timeout: millis(c.FallbackWaitTimeoutMS), MaxWaiting: c.FallbackMaxWaiting}
	return p
}

// Config is a record's settings.
type Config struct {
	TopK                  int     `json:"top_k"`
	Weights               Weights `json:"weights"`
	SessionTTLSeconds     int64   `json:"sticky_session_ttl_seconds"`
	ResponseTTLSeconds    int64   `json:"sticky_response_ttl_seconds"`
	StickyWaitTimeoutMS   int64   `json:"sticky_wait_timeout_ms"`
	StickyMaxWaiting      int     `json:"sticky_max_waiting"`
	FallbackWaitTimeoutMS int64   `json:"fallback_wait_timeout_ms"`
	FallbackMaxWaiting    int     `json:"fallback_max_waiting"`
}

// Account is one account; a nil pointer is an absent field.
type Account struct {
	ID                 string            `json:"id"`
	Priority           int               `json:"priority"`
	MaxConcurrency     int               `json:"max_concurrency"`
	InUse              int32             `json:"in_use"`
	Waiting            int32             `json:"waiting"`
	GroupIDs           []string          `json:"group_ids"`
	Platform           *string           `json:"platform"`
	Type               *string           `json:"type"`
	Status             *string           `json:"status"`
	Schedulable        *bool             `json:"schedulable"`
	Transport          *string           `json:"transport"`
	ModelMapping       map[string]string `json:"model_mapping"`
	ModelLimits        map[string]int64  `json:"model_rate_limit_resets_in_ms"`
	RateLimitMS        *int64            `json:"rate_limit_resets_in_ms"`
	OverloadMS         *int64            `json:"overload_ends_in_ms"`
	TempMS             *int64            `json:"temp_unschedulable_ends_in_ms"`
	ExpiresMS          *int64            `json:"expires_in_ms"`
	AutoPauseOnExpired bool              `json:"auto_pause_on_expired"`
}

// Pool converts, without an ordinal; instants are relative to start.
func (a *Account) Pool(start time.Time) pool.Account {
	t, _ := pool.ParseTransport(or(a.Transport, "http_sse"))
	out := pool.Account{
		ID: a.ID, Type: or(a.Type, "apikey"), Provider: or(a.Platform, Provider),
		Priority: a.Priority, MaxConcurrency: a.MaxConcurrency,
		Groups: a.GroupIDs, Models: pool.NewModels(a.ModelMapping), Transports: pool.TransportsOf(t),
		Status: pool.ParseStatus(or(a.Status, "active")), Unschedulable: !or(a.Schedulable, true),
		TempUnschedulableUntil: instant(start, a.TempMS), RateLimitedUntil: instant(start, a.RateLimitMS),
		OverloadedUntil: instant(start, a.OverloadMS), ExpiresAt: instant(start, a.ExpiresMS),
		AutoPauseOnExpired: a.AutoPauseOnExpired,
	}
	if len(a.ModelLimits) > 0 {
		out.ModelLimits = make(map[string]time.Time, len(a.ModelLimits))
		for model, ms := range a.ModelLimits {
			out.ModelLimits[model] = start.Add(millis(ms))
		}
	}
	return out
}

// Binding ties a session hash or a response id to an account.
type Binding struct {
	GroupID     *string `json:"group_id"`
	SessionHash string  `json:"session_hash"`
	ResponseID  string  `json:"response_id"`
	AccountID   string  `json:"account_id"`
	TTLMS       int64   `json:"ttl_ms"` // ≤ 0 has lapsed
}

// Faults are what fails while the record runs.
type Faults struct {
	ListError              bool     `json:"list_error"`
	LoadBatchError         bool     `json:"load_batch_error"`
	LoadMissingAccountIDs  []string `json:"load_missing_account_ids"`
	AcquireErrorAccountIDs []string `json:"acquire_error_account_ids"`
	LookupErrorAccountIDs  []string `json:"lookup_error_account_ids"`
	StickyReadError        bool     `json:"sticky_read_error"`
	StickyWriteError       bool     `json:"sticky_write_error"`
}

// Request is one Select.
type Request struct {
	GroupID     *string  `json:"group_id"`
	SessionHash string   `json:"session_hash"`
	ResponseID  string   `json:"previous_response_id"`
	Model       string   `json:"requested_model"`
	Transport   string   `json:"required_transport"`
	Excluded    []string `json:"excluded_account_ids"`
	StickyHint  string   `json:"sticky_account_id_hint"`
}

// Decide converts. A transport that has no name becomes one that nothing offers.
func (r *Request) Decide() decide.Request {
	t, _ := pool.ParseTransport(r.Transport)
	return decide.Request{
		Group: Group(r.GroupID), SessionHash: r.SessionHash, ResponseID: r.ResponseID, Model: r.Model,
		Transport: t, Provider: Provider, Excluded: r.Excluded,
	}
}

// Group converts a group id: null is "", no group.
func Group(id *string) string { return or(id, "") }

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func ttl(seconds int64) time.Duration {
	if seconds <= 0 {
		return decide.DefaultTTL
	}
	return time.Duration(seconds) * time.Second
}

func instant(start time.Time, ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return start.Add(millis(*ms))
}
