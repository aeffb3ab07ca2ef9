package redisstore

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/storetest"
)

// TestCachedView: who asks for nothing but a slot is answered by loads of a moment ago, and everybody else by the server.
func TestCachedView(t *testing.T) {
	clock := storetest.NewClock()
	server := miniredis.RunT(t)
	s := open(t, Options{Server: single(server.Addr()), Clock: clock, Budget: patience, LoadView: Cached})
	roster := core.Roster{Accounts: []core.RosterEntry{{ID: "a", Limit: 4}}}
	if err := s.Register(t.Context(), &roster); err != nil {
		t.Fatal(err)
	}
	plain := func() *core.BoundTake {
		return &core.BoundTake{Grant: core.Grant{ID: core.LeaseID{1}, TTL: time.Minute}, Ordinals: []int32{0}, Loads: make([]decide.Load, 1)}
	}
	if s.cached(plain()) {
		t.Error("answered before anything was heard")
	}
	first := &core.FirstTake{Grant: core.Grant{ID: core.LeaseID{2}, TTL: time.Minute}, Order: []core.Choice{{}}}
	if _, err := s.TakeFirst(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	take := plain()
	if !s.cached(take) || take.Loads[0].InUse != 1 {
		t.Errorf("answered with %+v", take.Loads)
	}
	for name, change := range map[string]func(*core.BoundTake){
		"a session":    func(take *core.BoundTake) { take.Session[0] = 1 },
		"a response":   func(take *core.BoundTake) { take.Response[0] = 1 },
		"a request id": func(take *core.BoundTake) { take.Grant.Request[0] = 1 },
		"a cap":        func(take *core.BoundTake) { take.Grant.TenantCap = 1 },
		"the line":     func(take *core.BoundTake) { take.Grant.InLine = true },
		"a dry run":    func(take *core.BoundTake) { take.DryRun = true },
	} {
		take := plain()
		if change(take); s.cached(take) {
			t.Errorf("%s was answered without the server", name)
		}
	}
	clock.Advance(CachedMost + time.Millisecond)
	if s.cached(plain()) {
		t.Error("answered by loads that are too old")
	}
}
