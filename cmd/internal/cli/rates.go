package cli

import (
	"fmt"
	"strconv"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// rates are what happened from one snapshot to the next, each second.
type rates struct {
	known    bool // two snapshots of one process
	selects  float64
	selected float64
	planned  float64
	refused  float64
	failed   float64
	// returned are leases that were given back: selected less those that still live or expired.
	returned float64
	expired  float64
	switches float64
	// hits is the share of selects that a sticky layer answered: of these selects, or of all where there were none.
	hits float64
}

func ratesBetween(prev, cur *usherv1.MetricsSnapshot) rates {
	t, p := cur.GetTotals(), prev.GetTotals()
	r := rates{hits: t.GetStickyHitRatio()}
	seconds := cur.GetAt().AsTime().Sub(prev.GetAt().AsTime()).Seconds()
	restarted := t.GetSelectTotal() < p.GetSelectTotal() || cur.GetUptime().AsDuration() < prev.GetUptime().AsDuration()
	if prev == nil || seconds <= 0 || restarted {
		return r
	}
	rate := func(now, then float64) float64 { return max(now-then, 0) / seconds }
	r.known = true
	r.selects = rate(float64(t.GetSelectTotal()), float64(p.GetSelectTotal()))
	now, then := byOutcome(cur), byOutcome(prev)
	of := func(o usherv1.DecisionOutcome) float64 { return rate(now[o], then[o]) }
	r.selected = of(usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED)
	r.planned = of(usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN)
	r.refused = of(usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED)
	r.failed = of(usherv1.DecisionOutcome_DECISION_OUTCOME_FAILED)
	r.expired = rate(float64(cur.GetLeasesExpiredTotal()), float64(prev.GetLeasesExpiredTotal()))
	r.switches = rate(float64(t.GetAccountSwitchTotal()), float64(p.GetAccountSwitchTotal()))
	grown := (float64(cur.GetLeasesLive()) - float64(prev.GetLeasesLive())) / seconds
	r.returned = max(r.selected-r.expired-grown, 0)
	hit := func(t *usherv1.SchedulerTotals) float64 {
		return float64(t.GetStickyPreviousHitTotal() + t.GetStickySessionHitTotal())
	}
	if r.selects > 0 {
		r.hits = rate(hit(t), hit(p)) / r.selects
	}
	return r
}

func byOutcome(s *usherv1.MetricsSnapshot) map[usherv1.DecisionOutcome]float64 {
	m := make(map[usherv1.DecisionOutcome]float64)
	for _, c := range s.GetSelects() {
		m[c.GetOutcome()] += float64(c.GetTotal())
	}
	return m
}

func perSecond(v float64, known bool) string {
	if !known {
		return "–/s"
	}
	return quantity(v) + "/s"
}

// quantity is a number of at most four digits: 0.5, 412, 12.3k.
func quantity(v float64) string {
	switch {
	case v >= 999.5e3:
		return digits(v/1e6) + "M"
	case v >= 9999.5:
		return digits(v/1e3) + "k"
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return trimZeros(strconv.FormatFloat(v, 'f', 1, 64))
	}
}

// topLine is a snapshot on one line, for logs.
func topLine(prev, cur *usherv1.MetricsSnapshot, skipped uint64) string {
	r := ratesBetween(prev, cur)
	var full, blocked, over int
	for _, a := range cur.GetAccounts() {
		switch standing(a) {
		case standsFull:
			full++
		case standsOver:
			over++
		case standsBlocked:
			blocked++
		case standsFree:
		}
	}
	q := cur.GetDecisionLatency()
	line := fmt.Sprintf("%s selects=%s selected=%s plans=%s refusals=%s returned=%s hit=%.1f%% p50=%s p99=%s leases=%d waiting=%d accounts=%d full=%d overcommitted=%d blocked=%d",
		cur.GetAt().AsTime().Format(time.RFC3339), perSecond(r.selects, r.known), perSecond(r.selected, r.known),
		perSecond(r.planned, r.known), perSecond(r.refused, r.known), perSecond(r.returned, r.known), r.hits*100,
		brief(q.GetP50().AsDuration()), brief(q.GetP99().AsDuration()), cur.GetLeasesLive(), cur.GetWaiting(),
		len(cur.GetAccounts()), full, over, blocked)
	if cur.GetDegraded() {
		line += " degraded"
	}
	if skipped > 0 {
		line += fmt.Sprintf(" skipped=%d", skipped)
	}
	return line
}
