package decide_test

import (
	"testing"

	"pgregory.net/rapid"

	"usher.internal/core/decide"
)

// TestAllEscape says of a whole group what is said of each of its accounts.
func TestAllEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := decide.Recommended()
		if rapid.Bool().Draw(t, "no fading") {
			policy.HalfLife = 0
		}
		group := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) decide.Stat {
			return decide.Stat{
				ErrorRate: rapid.Float64Range(0, 1).Draw(t, "errors"), ErrorWeight: rapid.Float32Range(0, 1).Draw(t, "error weight"),
				TTFT: rapid.Float64Range(1, 5000).Draw(t, "ttft"), TTFTWeight: rapid.Float32Range(0, 1).Draw(t, "ttft weight"),
				HasTTFT: rapid.Bool().Draw(t, "has ttft"),
			}
		}), 0, 12).Draw(t, "group")
		all := make([]bool, len(group))
		decide.AllEscape(group, &policy, all)
		for i := range group {
			if want := decide.Escapes(group[i], group, &policy); all[i] != want {
				t.Fatalf("account %d: %v, by itself %v", i, all[i], want)
			}
		}
	})
}
