package decide

// Layer is the stage of the decision that asks.
type Layer uint8

const (
	// LayerLoadBalance filters, ranks and draws among all accounts of the group.
	LayerLoadBalance Layer = iota
	// LayerResponse follows the binding of the previous response.
	LayerResponse
	// LayerSession follows the binding of the session hash.
	LayerSession
)

var layerNames = [...]string{"load_balance", "previous_response_id", "session_hash"}

// String gives the recorded name: load_balance, previous_response_id or session_hash.
func (l Layer) String() string {
	if int(l) < len(layerNames) {
		return layerNames[l]
	}
	return "invalid"
}

// Reason is why an account may not serve a request. The zero value is None: it may.
// The order is that in which the checks are made: the first that applies is given.
type Reason uint8

const (
	// None excludes nothing: the account may serve.
	None Reason = iota
	// ExcludedByCaller is an id that the request excludes.
	ExcludedByCaller
	// Unknown is an id that is not in the set.
	Unknown
	// ResponseTransport is an account whose transports the response layer does not serve.
	ResponseTransport
	// Provider is an account of another provider than the request names.
	Provider
	// StatusError is an account in error.
	StatusError
	// StatusDisabled is an account whose own status is disabled.
	StatusDisabled
	// StateDisabled is an account that an operator disabled.
	StateDisabled
	// Paused is an account that an operator paused.
	Paused
	// AuthFailed is an account whose credentials were refused.
	AuthFailed
	// Draining is an account that takes no new session, or whose drain deadline has passed.
	Draining
	// Unschedulable is an account that is marked so, without a deadline.
	Unschedulable
	// TempUnschedulable is the same with a deadline.
	TempUnschedulable
	// ModelLimited is an account under an active limit or cooldown for the mapped model.
	ModelLimited
	// ModelUnmapped is an account that does not map the requested model.
	ModelUnmapped
	// Transport is an account without the required transport.
	Transport
	// Overloaded is an account under an overload deadline.
	Overloaded
	// RateLimited is an account under a rate limit deadline.
	RateLimited
	// QuotaExhausted is an account whose quota is used up until a deadline.
	QuotaExhausted
	// OutsideGroup is an account that is not in the request's group.
	OutsideGroup
	// Expired is an account past its expiry that pauses by itself then.
	Expired
	// StatusUnknown is an account with any other status than active, error or disabled.
	StatusUnknown
	// Probing is an account whose cooldown is over without a success since, and whose one probe is out. A sticky layer,
	// which does not look at loads, says so of each that takes but a probe; the store knows whether one is out.
	Probing

	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "excluded_by_caller", "unknown", "response_transport", "provider", "status_error", "status_disabled",
	"state_disabled", "paused", "auth_failed", "draining", "unschedulable", "temp_unschedulable", "model_limited", "model_unmapped",
	"transport", "overloaded", "rate_limited", "quota_exhausted", "outside_group", "expired", "status_unknown", "probing",
}

// String gives the snake_case name.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return "invalid"
}

// Reasons gives all reasons but None, in order.
func Reasons() []Reason {
	out := make([]Reason, 0, reasonCount-1)
	for r := None + 1; r < reasonCount; r++ {
		out = append(out, r)
	}
	return out
}

// Fate is what becomes of the binding that led to an account.
type Fate uint8

const (
	// Keep leaves the binding as it is; the next layer decides.
	Keep Fate = iota
	// Drop removes the binding; the next layer decides.
	Drop
	// Take lets the account serve, or be waited for; the binding stands.
	Take
	// Probe is Take as the account's one probe, and Keep while another probe is out.
	Probe
)

var fateNames = [...]string{"keep", "drop", "take", "probe"}

// String gives the lower-case name.
func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "invalid"
}

// FateOf tells what becomes of a binding on a sticky layer whose account was judged with r.
// On the load-balance layer nothing is bound: Keep, or Take for None.
func FateOf(layer Layer, r Reason) Fate {
	switch r {
	case None:
		return Take
	case Probing:
		if layer != LayerLoadBalance {
			return Probe
		}
		return Keep
	case ExcludedByCaller, ResponseTransport, Paused, AuthFailed, Draining, ModelUnmapped, Overloaded, RateLimited,
		QuotaExhausted:
		return Keep
	case Transport:
		if layer == LayerSession {
			return Drop
		}
		return Keep
	case Unknown, Provider, StatusError, StatusDisabled, StateDisabled, Unschedulable, TempUnschedulable,
		ModelLimited, OutsideGroup, Expired, StatusUnknown:
		if layer != LayerLoadBalance {
			return Drop
		}
	}
	return Keep
}
