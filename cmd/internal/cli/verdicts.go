package cli

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// renderVerdicts shows candidates in rank order, then the excluded by reason.
func renderVerdicts(all []*usherv1.AccountVerdict, chosen string, now time.Time) string {
	var scored, excluded []*usherv1.AccountVerdict
	for _, v := range all {
		if v.GetScore() != nil {
			scored = append(scored, v)
		} else {
			excluded = append(excluded, v)
		}
	}
	slices.SortStableFunc(scored, func(a, b *usherv1.AccountVerdict) int {
		return cmp.Compare(a.GetScore().GetRank(), b.GetScore().GetRank())
	})
	slices.SortStableFunc(excluded, func(a, b *usherv1.AccountVerdict) int {
		return cmp.Compare(a.GetExclusion().GetReason(), b.GetExclusion().GetReason())
	})
	return joined("\n", candidateTable(scored, chosen), excludedTable(excluded, now))
}

func candidateTable(scored []*usherv1.AccountVerdict, chosen string) string {
	if len(scored) == 0 {
		return ""
	}
	g := newGrid([]string{"RANK", "DRAW", "CANDIDATE", "SCORE", "P", "L", "Q", "E", "T", "IN USE", "WAIT", "ERROR", "TTFT", ""},
		"RANK", "DRAW", "SCORE", "P", "L", "Q", "E", "T", "IN USE", "WAIT", "ERROR", "TTFT")
	for _, v := range scored {
		s := v.GetScore()
		place, mark := "–", ""
		if s.GetDrawPlace() > 0 {
			place = strconv.Itoa(int(s.GetDrawPlace()))
		}
		if v.GetAccountId() == chosen {
			mark = "◀ chosen"
		}
		g.row(strconv.Itoa(int(s.GetRank())), place, clean(v.GetAccountId()), fixed(s.GetTotal(), 4),
			fixed(s.GetPriorityFactor(), 2), fixed(s.GetLoadFactor(), 2), fixed(s.GetQueueFactor(), 2),
			fixed(s.GetErrorFactor(), 2), fixed(s.GetTtftFactor(), 2),
			slots(s.GetInUse(), s.GetMaxConcurrency()), strconv.Itoa(int(s.GetWaiting())),
			percent(s.GetErrorRate()), millis(s.TtftMs), mark)
	}
	return g.String() + "factors from 0 to 1, 1 is best: P priority, L load, Q queue, E errors, T time to first token; " +
		"DRAW is the order of the draw among the top K\n"
}

func excludedTable(excluded []*usherv1.AccountVerdict, now time.Time) string {
	if len(excluded) == 0 {
		return ""
	}
	g := newGrid([]string{"EXCLUDED", "BECAUSE"})
	for _, v := range excluded {
		e := v.GetExclusion()
		g.row(clean(v.GetAccountId()), reasonText(e.GetReason())+left(e.GetUntil(), now))
	}
	return g.String()
}

// fixed keeps huge numbers from widening a column.
func fixed(v float64, places int) string {
	text := strconv.FormatFloat(v, 'f', places, 64)
	if math.Abs(v) > 1e6 {
		text = strconv.FormatFloat(v, 'g', 6, 64)
	}
	return strings.Replace(text, "-", "−", 1)
}
