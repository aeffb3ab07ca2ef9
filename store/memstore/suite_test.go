package memstore_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) { storetest.Run(t, harness(0)) }

// TestSuiteWithHandover: all other promises hold where it keeps what comes free for those in line.
func TestSuiteWithHandover(t *testing.T) { storetest.Run(t, harness(core.Handover)) }

// TestHandoverMutants shows that the suite finds on this store what it was made to find.
func TestHandoverMutants(t *testing.T) {
	for _, mutant := range storetest.HandoverMutants() {
		t.Run(mutant.Name, func(t *testing.T) {
			if mutant.Found(harness(core.Handover)) == nil {
				t.Errorf("%q did not find it", mutant.Meant)
			}
		})
	}
}

func harness(handover time.Duration) storetest.Harness {
	clock := storetest.NewClock()
	return storetest.Harness{
		New: func(t storetest.TB) core.Store {
			s, err := memstore.New(memstore.Options{Clock: clock, Handover: handover})
			if err != nil {
				t.Fatalf("%v", err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			return s
		},
		Advance: clock.Advance, Handover: handover > 0,
	}
}
