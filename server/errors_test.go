package server

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"usher.internal/core"
)

func TestEveryKindHasARow(t *testing.T) {
	seen := map[string]core.Kind{}
	for _, kind := range core.Kinds() {
		r, ok := ruleOf(kind)
		if !ok {
			t.Errorf("kind %d has no row", kind)
		}
		if r.code == codes.OK || r.code == codes.Unknown || r.reason == "" {
			t.Errorf("kind %d: %+v", kind, r)
		}
		if other, twice := seen[r.reason]; twice {
			t.Errorf("kinds %d and %d share the reason %s", kind, other, r.reason)
		}
		seen[r.reason] = kind
	}
	if _, ok := ruleOf(255); ok {
		t.Error("an unknown kind has a row")
	}
}

func TestStatusError(t *testing.T) {
	s := bareServer(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	secret := errors.New("session abc")
	for _, row := range []struct {
		name  string
		ctx   context.Context
		err   error
		code  codes.Code
		text  string
		retry bool
	}{
		{"closed", t.Context(), &core.Error{Kind: core.KindClosed, Text: "closed"}, codes.Unavailable, "closed", true},
		{"wrapped", t.Context(), fmt.Errorf("x: %w", &core.Error{Kind: core.KindRequestReleased, Text: "gone"}), codes.FailedPrecondition, "gone", false},
		{"store's own deadline", t.Context(), &core.Error{Kind: core.KindStoreUnavailable, Err: context.DeadlineExceeded}, codes.Unavailable, "the store cannot be reached", true},
		{"internal", t.Context(), &core.Error{Text: "broken", Err: secret}, codes.Internal, "internal error", false},
		{"foreign", t.Context(), secret, codes.Internal, "internal error", false},
		{"canceled", t.Context(), context.Canceled, codes.Canceled, "the call was cancelled", false},
		{"deadline", t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "the caller's time is over", false},
		{"caller gone, store says so", done, &core.Error{Kind: core.KindStoreUnavailable, Err: context.Canceled}, codes.Canceled, "the call was cancelled", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			st := status.Convert(s.statusError(row.ctx, row.err))
			retry := false
			for _, d := range st.Details() {
				_, is := d.(*errdetails.RetryInfo)
				retry = retry || is
			}
			if st.Code() != row.code || st.Message() != row.text || retry != row.retry {
				t.Errorf("got %v, retry %t", st, retry)
			}
		})
	}
}
