package core_test

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// fullTenant answers TakeBound with the tenant's limit once it is full.
type fullTenant struct {
	core.Store
	full bool
}

func (s *fullTenant) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	if s.full {
		return core.BoundTaken{Status: core.BoundTenantFull}, nil
	}
	return s.Store.TakeBound(ctx, take)
}

// TestRefusedBeforeRanking: a refusal before load balancing still knows who is cold.
func TestRefusedBeforeRanking(t *testing.T) {
	tenant := new(fullTenant)
	h := newHouse(t, plain(2, 9), over(func(s core.Store) core.Store {
		tenant.Store = s
		return tenant
	}))
	h.reports(limited(h.on(mainRequest, "b"), time.Minute, 0), core.EventApplied)
	tenant.full = true
	no := h.refused(mainRequest, core.RefusedTenantLimit)
	if len(no.Exclusions) != 1 || no.Exclusions[0] != (core.ReasonCount{Reason: decide.RateLimited, Accounts: 1}) {
		t.Errorf("%+v", no)
	}
}
