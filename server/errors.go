package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
)

// errorDomain is the domain of every ErrorInfo.
const errorDomain = "usher"

// Reasons of ErrorInfo, for programs.
const (
	reasonInternal        = "INTERNAL"
	reasonClosed          = "CLOSED"
	reasonReleased        = "REQUEST_RELEASED"
	reasonStore           = "STORE_UNAVAILABLE"
	reasonDecisionUnknown = "DECISION_UNKNOWN"
	reasonInvalidPool     = "INVALID_POOL"
	reasonDraining        = "DRAINING"
	reasonInvalid         = "INVALID_ARGUMENT"
	reasonSubscribers     = "TOO_MANY_SUBSCRIBERS"
	reasonUnread          = "ACKS_NOT_READ"
)

// rule is how a kind of core's errors is told to a client.
type rule struct {
	code   codes.Code
	reason string
	// retry says that the same call may succeed later.
	retry bool
	// text replaces the error's own when it is not for the client.
	text string
}

// ruleOf is the one mapping of core's errors. ok is false for a kind that has no row; such an error is internal.
func ruleOf(kind core.Kind) (r rule, ok bool) {
	switch kind {
	case core.KindInternal:
		return rule{code: codes.Internal, reason: reasonInternal, text: "internal error"}, true
	case core.KindClosed:
		return rule{code: codes.Unavailable, reason: reasonClosed, retry: true}, true
	case core.KindRequestReleased:
		return rule{code: codes.FailedPrecondition, reason: reasonReleased}, true
	case core.KindStoreUnavailable:
		return rule{code: codes.Unavailable, reason: reasonStore, retry: true, text: "the store cannot be reached"}, true
	case core.KindDecisionUnknown:
		return rule{code: codes.NotFound, reason: reasonDecisionUnknown}, true
	case core.KindInvalidPool:
		return rule{code: codes.InvalidArgument, reason: reasonInvalidPool}, true
	}
	return rule{code: codes.Internal, reason: reasonInternal, text: "internal error"}, false
}

// statusError tells a client of an error of core, of a context, or of neither: an internal one.
func (s *Server) statusError(ctx context.Context, err error) error {
	var known *core.Error
	isKnown := errors.As(err, &known)
	// A deadline inside core's error is the store's; the caller's own is told by its context.
	ended := ctx.Err()
	if ended == nil && !isKnown {
		ended = err
	}
	switch {
	case errors.Is(ended, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(ended, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the caller's time is over")
	case !isKnown:
		// Nobody promises what its text carries.
		known = &core.Error{Text: fmt.Sprintf("a %T that is not core's", err)}
	}
	r, _ := ruleOf(known.Kind)
	text := r.text
	if text == "" {
		text = known.Text
	}
	if r.code == codes.Internal {
		s.log.Error("internal error", zap.String("error", known.Error()))
	}
	var retry time.Duration
	if r.retry {
		retry = s.opts.RetryAfter
	}
	return detailed(status.New(r.code, text), r.reason, nil, retry)
}

// detailed adds an ErrorInfo, and a RetryInfo when retry is above 0.
func detailed(st *status.Status, reason string, metadata map[string]string, retry time.Duration) error {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain, Metadata: metadata}}
	if retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	full, err := st.WithDetails(details...)
	if err != nil {
		return st.Err()
	}
	return full.Err()
}
