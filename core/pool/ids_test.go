package pool

import (
	"cmp"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// inOrder holds ids from first to last.
var inOrder = []string{
	"-99999999999999999999999999", "-10", "-9", "-007", "-7", "-0", "-00", "0", "00", "1", "007", "7", "8", "10",
	"9223372036854775807", "9223372036854775808", "99999999999999999999", "100000000000000000000",
	"", "+5", "-", "--5", "1e3", "5 ", "A", "a", "a10", "a9", "é", "٣",
}

func TestCompareIDsOrder(t *testing.T) {
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := CompareIDs(a, b); got != cmp.Compare(i, j) {
				t.Errorf("CompareIDs(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestCompareIDsIsTotal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const alphabet = "0012-9+a"
	ids := make([]string, 60)
	for i := range ids {
		for range rng.IntN(5) {
			ids[i] += string(alphabet[rng.IntN(len(alphabet))])
		}
	}
	for _, a := range ids {
		for _, b := range ids {
			checkPair(t, a, b)
			for _, c := range ids {
				if CompareIDs(a, b) < 0 && CompareIDs(b, c) < 0 && CompareIDs(a, c) >= 0 {
					t.Fatalf("%q < %q < %q", a, b, c)
				}
			}
		}
	}
}

func FuzzCompareIDs(f *testing.F) {
	f.Add("007", "7")
	f.Add("-5", "+5")
	f.Add("-0", "0")
	f.Add(strings.Repeat("9", 300), "1")
	f.Fuzz(func(t *testing.T, a, b string) { checkPair(t, a, b) })
}

func checkPair(t *testing.T, a, b string) {
	t.Helper()
	got := CompareIDs(a, b)
	if got != -CompareIDs(b, a) || (got == 0) != (a == b) {
		t.Fatalf("CompareIDs(%q, %q) = %d, reversed %d", a, b, got, CompareIDs(b, a))
	}
	x, y := valueOf(a), valueOf(b)
	var want int
	switch {
	case x != nil && y != nil && x.Cmp(y) != 0:
		want = x.Cmp(y)
	case (x == nil) != (y == nil):
		want = 1
		if x != nil {
			want = -1
		}
	default:
		want = strings.Compare(a, b)
	}
	if got != want {
		t.Fatalf("CompareIDs(%q, %q) = %d, want %d", a, b, got, want)
	}
}

func valueOf(id string) *big.Int {
	digits := strings.TrimPrefix(id, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil
	}
	n, _ := new(big.Int).SetString(id, 10)
	return n
}
