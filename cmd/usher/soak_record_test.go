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

// holding is how many leases of an account were surely held, in all and at most at once.
type holding struct{ leases, atOnce int }

// edge is where the number of leases that are held changes.
type edge struct {
	at   time.Duration
	step int
}

// edgesOf gives those of each account in order.
func edgesOf(all []held) map[string][]edge {
	edges := make(map[string][]edge)
	for _, h := range all {
		if h.until > h.from {
			edges[h.account] = append(edges[h.account], edge{h.from, 1}, edge{h.until, -1})
		}
	}
	for _, list := range edges {
		// At the same instant one ends before another begins.
		slices.SortFunc(list, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	}
	return edges
}

// mostHeld counts, for each account, how many were surely live at once.
func mostHeld(all []held) map[string]holding {
	most := make(map[string]holding)
	for account, list := range edgesOf(all) {
		now, peak := 0, 0
		for _, e := range list {
			now += e.step
			peak = max(peak, now)
		}
		most[account] = holding{len(list) / 2, peak}
	}
	return most
}

// checkHeld gives what must not be.
func checkHeld(t *testing.T, all []held, limits map[string]int) (wrong []string) {
	t.Helper()
	most := mostHeld(all)
	for account, is := range most {
		limit, known := limits[account]
		t.Logf("%s: %d leases surely held, at most %d of %d at once", account, is.leases, is.atOnce, limit)
		switch {
		case !known:
			wrong = append(wrong, fmt.Sprintf("account %q is not in the pool", account))
		case is.atOnce > limit:
			wrong = append(wrong, fmt.Sprintf("%s: %d leases at once, the limit is %d", account, is.atOnce, limit))
		}
	}
	for account := range limits {
		if most[account].atOnce == 0 {
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
