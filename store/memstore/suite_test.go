package memstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	clock := storetest.NewClock()
	storetest.Run(t, storetest.Harness{
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
	})
}
