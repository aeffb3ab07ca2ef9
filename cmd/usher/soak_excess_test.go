package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// excess is a time in which more of an account was surely held than its limit, at most by so many.
type excess struct {
	account     string
	by          int
	from, until time.Duration
}

// excesses gives them by account and time.
func excesses(all []held, limits map[string]int) (out []excess) {
	edges := edgesOf(all)
	for _, account := range slices.Sorted(maps.Keys(edges)) {
		now, open := 0, excess{}
		for _, e := range edges[account] {
			now += e.step
			above := now - limits[account]
			switch {
			case above > 0 && open.by == 0:
				open = excess{account: account, by: above, from: e.at}
			case above > 0:
				open.by = max(open.by, above)
			case open.by > 0:
				open.until = e.at
				out = append(out, open)
				open = excess{}
			}
		}
	}
	return out
}

func TestExcesses(t *testing.T) {
	got := excesses([]held{{"a", 0, 10}, {"a", 5, 20}, {"a", 6, 8}, {"a", 19, 30}, {"b", 0, 9}}, map[string]int{"a": 1, "b": 1})
	if want := []excess{{"a", 2, 5, 10}, {"a", 1, 19, 20}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// healedIn is how long a grant that a failover lost may be counted out where nobody was without Redis.
const healedIn = time.Second

// judgeOutage says what was wrong besides limits that were passed while Redis was away, and shows by how much these were.
func judgeOutage(t *testing.T, s *sharers, workers []*worker) {
	t.Helper()
	s.showTimes(t, workers)
	counts, all := gather(t, workers)
	t.Logf("Redis was away from %v to %v, all shared again at %v", s.lost.Round(time.Millisecond), s.found.Round(time.Millisecond), s.again.Round(time.Millisecond))
	t.Logf("%d of %d Selects were answered with an error, %d found all full; %d reports had to be sent again",
		counts["failed"], counts["select"], counts["full"], counts["lost"]-counts["failed"])
	for what, n := range counts {
		if strings.HasPrefix(what, "rpc error") {
			t.Logf("%d × %s", n, what)
		}
	}
	most, longest, total := 0, time.Duration(0), time.Duration(0)
	for _, e := range excesses(all, replicaLimits) {
		most, longest, total = max(most, e.by), max(longest, e.until-e.from), total+e.until-e.from
		if e.from < s.lost || e.until > s.again+healedIn {
			t.Errorf("%s: %d above %d from %v to %v", e.account, e.by, replicaLimits[e.account], e.from, e.until)
		}
	}
	t.Logf("above a limit: by at most %d, for at most %v at a time, %v over all accounts", most, longest.Round(time.Microsecond), total.Round(time.Microsecond))
}

// gather adds up what clients have counted and held, and says what was wrong for them.
func gather(t *testing.T, workers []*worker) (counts map[string]int, all []held) {
	t.Helper()
	counts = make(map[string]int)
	for _, w := range workers {
		all = append(all, w.held...)
		for what, n := range w.counts {
			counts[what] += n
		}
		for _, text := range w.wrong {
			t.Errorf("client %d: %s", w.number, text)
		}
	}
	return counts, all
}

// showTimes shows how long Selects took, before and after what happened to Redis.
func (s *sharers) showTimes(t *testing.T, workers []*worker) {
	t.Helper()
	const atFirst = 200 * time.Millisecond // longer than a Select takes that is not about to meet it
	for _, phase := range []struct {
		name        string
		from, until time.Duration
	}{
		{"before", 0, s.lost - atFirst},
		{"in the first 200 ms without", s.lost, min(s.lost+atFirst, s.found)},
		{"later without", s.lost + atFirst, s.found},
		{"until all shared again", s.found, s.again},
		{"afterwards", s.again, 1 << 62},
	} {
		var took []time.Duration
		for _, w := range workers {
			for _, c := range w.took {
				if c.at >= phase.from && c.at < phase.until {
					took = append(took, c.took)
				}
			}
		}
		if slices.Sort(took); len(took) > 0 {
			t.Logf("Selects %s: %d, p50 %v, p99 %v, most %v", phase.name, len(took),
				took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
		}
	}
}

// checkEven says whether the accounts, which are alike, were granted alike: no conversation keeps to one of them.
func checkEven(t *testing.T, workers []*worker) {
	t.Helper()
	counts, total := make(map[string]int), 0
	for _, w := range workers {
		for _, h := range w.held {
			counts[h.account]++
			total++
		}
	}
	square, want := 0.0, float64(total)/float64(len(replicaLimits))
	for id := range replicaLimits {
		square += (float64(counts[id]) - want) * (float64(counts[id]) - want) / want
	}
	t.Logf("χ² of %d grants over %d accounts: %.1f", total, len(replicaLimits), square)
	const most = 29.9 // one in 10,000 for 7 degrees of freedom
	if square > most {
		t.Errorf("shares are not even: %v", counts)
	}
}
