package storetest_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func harness() storetest.Harness {
	clock := storetest.NewClock()
	return storetest.Harness{
		New: func(t storetest.TB) core.Store {
			s, err := memstore.New(memstore.Options{Clock: clock})
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
		Advance: clock.Advance,
	}
}

func TestSoundStorePasses(t *testing.T) {
	for name, said := range storetest.Failures(harness(), func(s core.Store) core.Store { return s }) {
		t.Errorf("%s failed: %q", name, said)
	}
}

// TestMutants shows that each fault is found by the check that is meant for it.
func TestMutants(t *testing.T) {
	names := make([]string, 0, 128)
	for _, check := range storetest.Checks() {
		if slices.Contains(names, check.Name) {
			t.Errorf("two checks are called %q", check.Name)
		}
		names = append(names, check.Name)
	}
	for _, mutant := range storetest.Mutants() {
		t.Run(mutant.Name, func(t *testing.T) {
			if !slices.Contains(names, mutant.Meant) {
				t.Fatalf("there is no check %q", mutant.Meant)
			}
			h := harness()
			h.Patience = time.Second // one of them is found by waiting for what never comes
			found := mutant.Found(h)
			if found == nil {
				t.Errorf("%q did not find it", mutant.Meant)
			}
			for _, said := range found {
				t.Logf("found: %s", said)
			}
		})
	}
}
