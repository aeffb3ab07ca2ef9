package main

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// held is a time during which a client is sure that a lease was live: from the moment it had the answer
// to just before it sent the release, and at most until ttl after it had asked.
type held struct {
	account string
	from    time.Duration
	until   time.Duration
}

// checkHeld counts, for each account, how many were surely live at once, and gives what must not be.
func checkHeld(t *testing.T, all []held, limits map[string]int) (wrong []string) {
	t.Helper()
	type edge struct {
		at   time.Duration
		step int
	}
	edges := make(map[string][]edge)
	for _, h := range all {
		if h.until > h.from {
			edges[h.account] = append(edges[h.account], edge{h.from, 1}, edge{h.until, -1})
		}
	}
	for account, list := range edges {
		limit, known := limits[account]
		if !known {
			wrong = append(wrong, fmt.Sprintf("account %q is not in the pool", account))
			continue
		}
		// At the same instant one ends before another begins.
		slices.SortFunc(list, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
		now, most := 0, 0
		for _, e := range list {
			now += e.step
			most = max(most, now)
		}
		t.Logf("%s: %d leases surely held, at most %d of %d at once", account, len(list)/2, most, limit)
		if most > limit {
			wrong = append(wrong, fmt.Sprintf("%s: %d leases at once, the limit is %d", account, most, limit))
		}
		if most == 0 {
			wrong = append(wrong, account+": never used")
		}
	}
	return wrong
}

func TestRecorderSeesOnePastTheLimit(t *testing.T) {
	limits := map[string]int{"a": 2}
	fine := []held{{"a", 0, 10}, {"a", 5, 20}, {"a", 10, 15}}
	if wrong := checkHeld(t, fine, limits); wrong != nil {
		t.Error(wrong)
	}
	if checkHeld(t, append(fine, held{"a", 9, 11}), limits) == nil {
		t.Error("three at once passed for two")
	}
}
