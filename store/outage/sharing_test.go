package outage

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

// mute is a primary that answers all but the exchange of statistics.
type mute struct{ *memstore.Store }

func (*mute) Self() string      { return "a" }
func (*mute) Members() []string { return []string{"a"} }
func (*mute) Epoch() string     { return "1" }
func (*mute) Sessions() uint64  { return 1 }

func (*mute) EndKept(context.Context, []core.LeaseID, core.LeaseEnd) ([]core.Lease, error) {
	return nil, nil
}

func (*mute) StatusOf(context.Context, []core.LeaseID, []core.EventStatus) error { return nil }

func (*mute) ShareStats(context.Context, []byte, time.Duration) ([][]byte, error) {
	return nil, &core.Error{Kind: core.KindStoreUnavailable}
}

// TestStatisticsBeginNoOutage: nothing is granted by them, and an answer that is large may be late where others are not.
func TestStatisticsBeginNoOutage(t *testing.T) {
	memory, err := memstore.New(memstore.Options{Clock: storetest.NewClock()})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Primary: &mute{memory}, Clock: storetest.NewClock()})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.ShareStats(t.Context(), []byte("learned"), time.Minute); core.KindOf(err) != core.KindStoreUnavailable {
		t.Errorf("error %v", err)
	}
	if s.Degraded() {
		t.Error("an outage began")
	}
}

// TestNoStatisticsDuringAnOutage: it says that they are not exchanged, and they are again after it.
func TestNoStatisticsDuringAnOutage(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.seen()
	heard := func(s *Store, own string) int {
		others, err := s.ShareStats(t.Context(), []byte(own), time.Hour)
		if err != nil {
			if core.KindOf(err) != core.KindStoreUnavailable {
				t.Errorf("error %v", err)
			}
			return -1
		}
		return len(others)
	}
	heard(d.all[0], "a")
	if n := heard(d.all[1], "b"); n != 1 {
		t.Errorf("%d heard, want 1", n)
	}
	d.lose()
	if n := heard(d.all[0], "a"); n != -1 {
		t.Errorf("%d heard during an outage", n)
	}
	d.server.SetError("")
	d.until("it is heard again", func() bool { return heard(d.all[0], "a") == 1 })
}
