package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	usherv1 "usher.internal/gen/usher/v1"
)

// topView is all that a frame of top shows.
type topView struct {
	address string
	group   string
	sort    string
	// status is said instead of nothing where the connection is not up.
	status    string
	prev, cur *usherv1.MetricsSnapshot
	skipped   uint64
	width     int
	// height is in lines; 0 is without end.
	height int
	color  bool
}

type standingKind int

const (
	standsFree standingKind = iota
	standsFull
	standsOver
	standsBlocked
)

// standing is how an account is doing, the most telling first.
func standing(a *usherv1.AccountSnapshot) standingKind {
	limit := a.GetMaxConcurrency()
	switch {
	case a.GetOvercommitted():
		return standsOver
	case a.GetBlockedReason() != usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED, stopped(a.GetState()):
		return standsBlocked
	case limit > 0 && int64(a.GetInUse()) >= int64(limit):
		return standsFull
	default:
		return standsFree
	}
}

func stopped(s usherv1.AccountState) bool {
	return s == usherv1.AccountState_ACCOUNT_STATE_PAUSED || s == usherv1.AccountState_ACCOUNT_STATE_DISABLED
}

// renderTop draws one frame: at most height lines of at most width columns.
func renderTop(v topView) string {
	p := paint(v.color)
	out := topHeader(v, p)
	if v.cur != nil {
		out = append(out, "")
		out = append(out, topTable(v, p, len(out))...)
	}
	if v.height > 0 && len(out) > v.height {
		out = out[:v.height]
	}
	return strings.Join(out, "\n") + "\n"
}

func topHeader(v topView, p paint) []string {
	s := v.cur
	first := []span{{"usher", bold}, {v.address, plain}}
	if s != nil {
		first = append(first, span{clean(s.GetProfile()), plain}, span{"up " + brief(s.GetUptime().AsDuration()), plain})
		if v.group != "" {
			first = append(first, span{"group " + clean(v.group), plain})
		}
		first = append(first, span{s.GetAt().AsTime().Format("15:04:05 UTC"), plain})
		if s.GetDegraded() {
			first = append(first, span{"DEGRADED: the store is out of reach", red})
		}
		if v.skipped > 0 {
			first = append(first, span{fmt.Sprintf("%d skipped", v.skipped), yellow})
		}
	}
	if v.status != "" {
		first = slices.Insert(first, 2, span{v.status, red})
	}
	lines := []string{p.line(first, v.width)}
	if s == nil {
		return lines
	}
	r := ratesBetween(v.prev, s)
	q := s.GetDecisionLatency()
	for _, spans := range packed([]span{
		{"selects " + perSecond(r.selects, r.known), bold},
		{"hits " + percent(r.hits), plain},
		{"decision p50 " + brief(q.GetP50().AsDuration()) + " p99 " + brief(q.GetP99().AsDuration()), plain},
		{fmt.Sprintf("leases %d", s.GetLeasesLive()), plain},
		{fmt.Sprintf("waiting %d", s.GetWaiting()), alarm(s.GetWaiting() > 0)},
		{"selected " + perSecond(r.selected, r.known), plain},
		{"returned " + perSecond(r.returned, r.known), plain},
		{"plans " + perSecond(r.planned, r.known), alarm(r.planned > 0)},
		{"refusals " + perSecond(r.refused, r.known), alarm(r.refused > 0)},
		{"failed " + perSecond(r.failed, r.known), alarm(r.failed > 0)},
		{"switches " + perSecond(r.switches, r.known), plain},
		{"expired " + perSecond(r.expired, r.known), alarm(r.expired > 0)},
	}, v.width) {
		lines = append(lines, p.line(spans, v.width))
	}
	return lines
}

func alarm(on bool) style {
	if on {
		return yellow
	}
	return plain
}

// topTable shows as many accounts as fit below the lines above, and says how many more there are.
func topTable(v topView, p paint, above int) []string {
	accounts := sorted(v.cur.GetAccounts(), v.sort)
	shown := accounts
	if room := v.height - above - 1; v.height > 0 && len(accounts) > room {
		shown = accounts[:max(room-1, 0)]
	}
	l := layoutFor(v.width, shown)
	out := []string{p.wrap(bold, clipped(l.head(), v.width))}
	for _, a := range shown {
		out = append(out, l.row(a, v, p))
	}
	if rest := accounts[len(shown):]; len(rest) > 0 {
		out = append(out, p.wrap(grey, clipped(restLine(rest), v.width)))
	}
	if len(accounts) == 0 {
		out = append(out, p.wrap(grey, clipped("no accounts", v.width)))
	}
	return out
}

func sorted(accounts []*usherv1.AccountSnapshot, order string) []*usherv1.AccountSnapshot {
	by := func(key func(*usherv1.AccountSnapshot) float64) []*usherv1.AccountSnapshot {
		c := slices.Clone(accounts)
		slices.SortStableFunc(c, func(a, b *usherv1.AccountSnapshot) int { return cmp.Compare(key(b), key(a)) })
		return c
	}
	switch order {
	case "busy":
		return by(func(a *usherv1.AccountSnapshot) float64 { return a.GetLoadRate() })
	case "errors":
		return by(func(a *usherv1.AccountSnapshot) float64 { return a.GetErrorRate() })
	default:
		return accounts
	}
}

func restLine(rest []*usherv1.AccountSnapshot) string {
	var n [4]uint64
	for _, a := range rest {
		n[standing(a)]++
	}
	text := fmt.Sprintf("… and %s: %d free, %d full", count(uint64(len(rest)), "account", "accounts"), n[standsFree], n[standsFull])
	if n[standsOver] > 0 {
		text += fmt.Sprintf(", %d overcommitted", n[standsOver])
	}
	return text + fmt.Sprintf(", %d blocked", n[standsBlocked])
}
