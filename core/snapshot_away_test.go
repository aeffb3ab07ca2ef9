package core_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

// awayStore has loads while it is not away, and usage while it is not half away.
type awayStore struct {
	*memstore.Store
	away, half bool
}

func (s *awayStore) Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error {
	if s.away {
		return &core.Error{Kind: core.KindStoreUnavailable, Text: "away"}
	}
	return s.Store.Loads(ctx, ordinals, loads)
}

func (s *awayStore) Usage(ctx context.Context, tenant string) (core.Usage, error) {
	if s.away || s.half {
		return core.Usage{}, &core.Error{Kind: core.KindStoreUnavailable, Text: "away"}
	}
	return s.Store.Usage(ctx, tenant)
}

// TestSnapshotWithoutTheStore: operators see that it is out of reach.
func TestSnapshotWithoutTheStore(t *testing.T) {
	store, err := memstore.New(memstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	away := &awayStore{Store: store}
	degraded := false
	s, err := core.New(t.Context(), core.Options{Store: away, Entropy: rand.Uint64, Degraded: func() bool { return degraded }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), oneSlot("a"), decide.Reference()); err != nil {
		t.Fatal(err)
	}
	if answer, err := s.Select(t.Context(), &core.Request{}); err != nil || answer.Selection == nil {
		t.Fatalf("selected %+v, error %v", answer, err)
	}
	for _, tt := range []struct {
		away, half, degraded, fails bool
		inUse                       int32
	}{
		{inUse: 1}, {away: true, fails: true}, {away: true, degraded: true}, {half: true, degraded: true}, {degraded: true, inUse: 1},
	} {
		away.away, away.half, degraded = tt.away, tt.half, tt.degraded
		snapshot, err := s.Snapshot(t.Context())
		if tt.fails {
			if core.KindOf(err) != core.KindStoreUnavailable {
				t.Errorf("%+v: error %v", tt, err)
			}
			continue
		}
		if err != nil || snapshot.Degraded != tt.degraded || len(snapshot.Accounts) != 1 || snapshot.Accounts[0].Load.InUse != tt.inUse {
			t.Errorf("%+v: %+v, error %v", tt, snapshot, err)
		}
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
