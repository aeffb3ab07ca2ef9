package pool

import (
	"cmp"
	"strings"
)

// CompareIDs orders ids: decimal integers first, by value; then all others, by bytes.
//
// A decimal integer is an optional '-' and one or more ASCII digits, of any length;
// "+5" and "" are not. Ids of one value ("7", "007"; "0", "-0") follow by bytes.
// So it is a total order: 0 only for equal strings.
func CompareIDs(a, b string) int {
	na, nb := parseID(a), parseID(b)
	switch {
	case na.ok != nb.ok:
		if na.ok {
			return -1
		}
		return 1
	case na.ok:
		if c := na.compare(nb); c != 0 {
			return c
		}
	}
	return cmp.Compare(a, b)
}

// number is a decimal integer of any size: its sign and its digits without leading zeros.
type number struct {
	digits   string
	negative bool
	ok       bool
}

func parseID(s string) number {
	digits, negative := strings.CutPrefix(s, "-")
	if digits == "" {
		return number{}
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return number{}
		}
	}
	digits = strings.TrimLeft(digits, "0")
	return number{digits: digits, negative: negative && digits != "", ok: true}
}

func (n number) compare(o number) int {
	if n.negative != o.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(len(n.digits), len(o.digits)), cmp.Compare(n.digits, o.digits))
	if n.negative {
		return -c
	}
	return c
}
