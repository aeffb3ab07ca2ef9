package server

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
	usherv1 "usher.internal/gen/usher/v1"
)

// stamp gives no timestamp for the zero time.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// span gives no duration for 0.
func span(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// count makes a number that is never negative fit the wire.
func count(n int) uint32 { return uint32(min(max(int64(n), 0), math.MaxUint32)) }

// number makes a number fit the wire.
func number(n int) int32 { return int32(min(max(int64(n), math.MinInt32), math.MaxInt32)) }

func transportFrom(t usherv1.Transport) pool.Transport {
	switch t {
	case usherv1.Transport_TRANSPORT_UNSPECIFIED:
		return pool.TransportAny
	case usherv1.Transport_TRANSPORT_HTTP_SSE:
		return pool.HTTPSSE
	case usherv1.Transport_TRANSPORT_RESPONSES_WEBSOCKETS:
		return pool.ResponsesWebSockets
	case usherv1.Transport_TRANSPORT_RESPONSES_WEBSOCKETS_V2:
		return pool.ResponsesWebSocketsV2
	}
	return pool.TransportUnsupported
}

func transportTo(t pool.Transport) usherv1.Transport {
	switch t {
	case pool.HTTPSSE:
		return usherv1.Transport_TRANSPORT_HTTP_SSE
	case pool.ResponsesWebSockets:
		return usherv1.Transport_TRANSPORT_RESPONSES_WEBSOCKETS
	case pool.ResponsesWebSocketsV2:
		return usherv1.Transport_TRANSPORT_RESPONSES_WEBSOCKETS_V2
	case pool.TransportAny, pool.TransportUnsupported:
	}
	return usherv1.Transport_TRANSPORT_UNSPECIFIED
}

func stateTo(s pool.State) usherv1.AccountState {
	switch s {
	case pool.Active:
		return usherv1.AccountState_ACCOUNT_STATE_ACTIVE
	case pool.Draining:
		return usherv1.AccountState_ACCOUNT_STATE_DRAINING
	case pool.Paused:
		return usherv1.AccountState_ACCOUNT_STATE_PAUSED
	case pool.Disabled:
		return usherv1.AccountState_ACCOUNT_STATE_DISABLED
	}
	return usherv1.AccountState_ACCOUNT_STATE_UNSPECIFIED
}

func layerTo(l decide.Layer) usherv1.Layer {
	switch l {
	case decide.LayerLoadBalance:
		return usherv1.Layer_LAYER_LOAD_BALANCE
	case decide.LayerResponse:
		return usherv1.Layer_LAYER_PREVIOUS_RESPONSE_ID
	case decide.LayerSession:
		return usherv1.Layer_LAYER_SESSION_HASH
	}
	return usherv1.Layer_LAYER_UNSPECIFIED
}

// layerFrom gives false for a layer that is not told.
func layerFrom(l usherv1.Layer) (decide.Layer, bool) {
	switch l {
	case usherv1.Layer_LAYER_LOAD_BALANCE:
		return decide.LayerLoadBalance, true
	case usherv1.Layer_LAYER_PREVIOUS_RESPONSE_ID:
		return decide.LayerResponse, true
	case usherv1.Layer_LAYER_SESSION_HASH:
		return decide.LayerSession, true
	case usherv1.Layer_LAYER_UNSPECIFIED:
	}
	return decide.LayerLoadBalance, false
}

// reasonsTo is aligned with decide's reasons.
var reasonsTo = [...]usherv1.ExclusionReason{
	decide.None:              usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED,
	decide.ExcludedByCaller:  usherv1.ExclusionReason_EXCLUSION_REASON_EXCLUDED_BY_CALLER,
	decide.Unknown:           usherv1.ExclusionReason_EXCLUSION_REASON_UNKNOWN_ACCOUNT,
	decide.ResponseTransport: usherv1.ExclusionReason_EXCLUSION_REASON_RESPONSE_TRANSPORT,
	decide.Provider:          usherv1.ExclusionReason_EXCLUSION_REASON_PROVIDER,
	decide.StatusError:       usherv1.ExclusionReason_EXCLUSION_REASON_STATUS_ERROR,
	decide.StatusDisabled:    usherv1.ExclusionReason_EXCLUSION_REASON_STATUS_DISABLED,
	decide.StateDisabled:     usherv1.ExclusionReason_EXCLUSION_REASON_DISABLED,
	decide.Paused:            usherv1.ExclusionReason_EXCLUSION_REASON_PAUSED,
	decide.AuthFailed:        usherv1.ExclusionReason_EXCLUSION_REASON_AUTH_FAILED,
	decide.Draining:          usherv1.ExclusionReason_EXCLUSION_REASON_DRAINING,
	decide.Unschedulable:     usherv1.ExclusionReason_EXCLUSION_REASON_UNSCHEDULABLE,
	decide.TempUnschedulable: usherv1.ExclusionReason_EXCLUSION_REASON_TEMP_UNSCHEDULABLE,
	decide.ModelLimited:      usherv1.ExclusionReason_EXCLUSION_REASON_MODEL_LIMITED,
	decide.ModelUnmapped:     usherv1.ExclusionReason_EXCLUSION_REASON_MODEL_UNMAPPED,
	decide.Transport:         usherv1.ExclusionReason_EXCLUSION_REASON_TRANSPORT,
	decide.Overloaded:        usherv1.ExclusionReason_EXCLUSION_REASON_OVERLOADED,
	decide.RateLimited:       usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED,
	decide.QuotaExhausted:    usherv1.ExclusionReason_EXCLUSION_REASON_QUOTA_EXHAUSTED,
	decide.OutsideGroup:      usherv1.ExclusionReason_EXCLUSION_REASON_OUTSIDE_GROUP,
	decide.Expired:           usherv1.ExclusionReason_EXCLUSION_REASON_EXPIRED,
	decide.StatusUnknown:     usherv1.ExclusionReason_EXCLUSION_REASON_STATUS_UNKNOWN,
	decide.Probing:           usherv1.ExclusionReason_EXCLUSION_REASON_PROBING,
}

func reasonTo(r decide.Reason) usherv1.ExclusionReason {
	if int(r) < len(reasonsTo) {
		return reasonsTo[r]
	}
	return usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED
}

// fillDuration is durationpb.New into a message that is there already.
func fillDuration(to *durationpb.Duration, d time.Duration) {
	to.Seconds, to.Nanos = int64(d/time.Second), int32(d%time.Second)
}

// fillStamp is timestamppb.New into a message that is there already.
func fillStamp(to *timestamppb.Timestamp, t time.Time) {
	to.Seconds, to.Nanos = t.Unix(), int32(t.Nanosecond())
}
