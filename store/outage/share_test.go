package outage

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestPartsMakeTheWhole: whatever is shared out is shared out exactly, and nobody gets two more than another.
func TestPartsMakeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringN(1, 8, 16), 1, 9, rapid.ID[string]).Draw(t, "members")
		n, account := rapid.IntRange(-3, 500).Draw(t, "n"), rapid.String().Draw(t, "account")
		sum, least, most := 0, 1<<30, 0
		for _, m := range members {
			p := part(n, account, m, members)
			sum, least, most = sum+p, min(least, p), max(most, p)
		}
		if sum != max(n, 0) || most-least > 1 {
			t.Fatalf("%d shared out as %d, between %d and %d", n, sum, least, most)
		}
	})
}

// TestPartsAreEven: which replica gets one more is another for other accounts.
func TestPartsAreEven(t *testing.T) {
	members, got := []string{"a", "b", "c"}, map[string]int{}
	for i := range 3000 {
		for _, m := range members {
			got[m] += part(1, fmt.Sprintf("account-%d", i), m, members)
		}
	}
	for _, m := range members {
		if got[m] < 900 || got[m] > 1100 {
			t.Errorf("of 3000 single slots %s has %d", m, got[m])
		}
	}
}

func TestPartOfOneWhoIsNotListed(t *testing.T) {
	if got := part(9, "a", "new", []string{"x", "y"}); got != 3 {
		t.Errorf("one beside two has %d of 9", got)
	}
}
