package memstore_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

// TestExportMeanwhile exports while others take and release: what ended before an export began is marked in it, what
// lived all the time lives.
func TestExportMeanwhile(t *testing.T) {
	s := benchStore(t, 100, 0)
	lives := make(map[core.LeaseID]bool)
	for n := range uint64(500) {
		takeFor2(t, s, n, false)
		lives[core.LeaseID(key16('l', n))] = true
	}
	for n := range uint64(5000) {
		takeFor2(t, s, n|1<<32, true)
	}
	var others sync.WaitGroup
	done := make(chan struct{})
	for worker := range uint64(2) {
		others.Go(func() {
			for n := range uint64(30_000) {
				select {
				case <-done:
					return
				default:
					takeFor2(t, s, n|(worker+2)<<40, n%8 != 0)
				}
			}
		})
	}
	for range 10 {
		restored := open(t, memstore.Options{})
		if _, err := restored.Import(s.Export(nil, nil), nil); err != nil {
			t.Fatal(err)
		}
		if faults := restored.Inspect(); faults != nil {
			t.Fatalf("%q", faults)
		}
		held, err := restored.LeasesOf(context.Background(), "gateway-1")
		if err != nil {
			t.Fatal(err)
		}
		found := slices.DeleteFunc(held, func(l core.Lease) bool { return !lives[l.ID] })
		if len(found) != len(lives) {
			t.Fatalf("%d of %d leases that lived all the time", len(found), len(lives))
		}
		events := make([]core.Settlement, 5000)
		for n := range events {
			events[n] = core.Settlement{Kind: core.SettleFinished, Lease: core.LeaseID(key16('l', uint64(n)|1<<32)), GrantedAt: found[0].GrantedAt}
		}
		results := make([]core.Settled, len(events))
		if err := restored.Settle(context.Background(), events, results); err != nil {
			t.Fatal(err)
		}
		for n := range results {
			if results[n].Status != core.EventAlreadyReleased {
				t.Fatalf("event %d counts again: %+v", n, results[n])
			}
		}
	}
	close(done)
	others.Wait()
}

func takeFor2(t *testing.T, s *memstore.Store, n uint64, end bool) {
	take := &core.FirstTake{
		Grant: benchGrant(n), Order: []core.Choice{{Ordinal: int32(n % 100)}},
		Session: core.BindingKey(key16('s', n%5000)), SessionTTL: time.Hour,
	}
	if out, err := s.TakeFirst(context.Background(), take); err != nil || out.Status != core.FirstTook {
		t.Errorf("%+v, %v", out, err)
		return
	}
	if end {
		events := []core.Settlement{{Kind: core.SettleFinished, Lease: take.Grant.ID}}
		if err := s.Settle(context.Background(), events, make([]core.Settled, 1)); err != nil {
			t.Error(err)
		}
	}
}

// FuzzImport reads states from anything: whatever comes is taken up whole and sound, or not at all.
func FuzzImport(f *testing.F) {
	clock := storetest.NewClock()
	f.Add([]byte("usher state\n\x00\x01"))
	f.Add(open(f, memstore.Options{Clock: clock}).Export(nil, nil))
	s, _ := filled(f, clock)
	f.Add(s.Export(nil, []byte("section")))
	clock.Advance(time.Minute)
	f.Add(s.Export(nil, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := append([]byte(nil), data...)
		if len(data) >= 32 {
			whole = memstore.Seal(data[:len(data)-32])
		}
		for _, state := range [][]byte{data, whole} {
			s := open(t, memstore.Options{Clock: clock})
			_, err := s.Import(state, nil)
			if err != nil {
				if s.Changes() != 0 {
					t.Fatalf("half taken up: %v", err)
				}
				continue
			}
			if faults := s.Inspect(); faults != nil {
				t.Fatalf("%q", faults)
			}
			again := open(t, memstore.Options{Clock: clock})
			if _, err := again.Import(s.Export(nil, nil), nil); err != nil {
				t.Fatalf("its own state: %v", err)
			}
		}
	})
}
