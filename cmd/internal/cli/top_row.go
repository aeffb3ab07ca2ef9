package cli

import (
	"fmt"
	"strings"

	usherv1 "usher.internal/gen/usher/v1"
)

// layout is the columns of top that fit a width. What tells least goes first
// when there is little room; a bar takes what is over.
type layout struct {
	account  int
	bar      int
	use      int
	state    int
	waiting  bool
	latency  bool
	priority bool
	provider int
	groups   int
}

const (
	waitWidth  = 4
	errorWidth = 6
	ttftWidth  = 6
	prioWidth  = 4
	gap        = 2
	minBar     = 8
	maxBar     = 40
)

func layoutFor(width int, accounts []*usherv1.AccountSnapshot) layout {
	l := layout{account: len("ACCOUNT"), use: len("IN USE"), state: len("STATE")}
	provider, groups := 0, 0
	for _, a := range accounts {
		l.account = max(l.account, columns(clean(a.GetAccountId())))
		l.use = max(l.use, columns(slots(a.GetInUse(), a.GetMaxConcurrency())))
		l.state = max(l.state, columns(stateText(a, nil)))
		provider = max(provider, columns(clean(a.GetProvider())))
		groups = max(groups, columns(groupText(a)))
	}
	l.account = min(l.account, max(width/4, 8), 32)
	// The time left changes with each frame; room for it keeps the bars still.
	l.state = min(l.state+len(" 59m59s"), max(width/4, 8))
	left := width - l.account - l.use - l.state - 3*gap - errorWidth - gap - minBar
	take := func(n int) bool {
		if left < n+gap {
			return false
		}
		left -= n + gap
		return true
	}
	l.latency = take(ttftWidth)
	l.waiting = take(waitWidth)
	if left > maxBar-minBar {
		l.priority = take(prioWidth)
	}
	label := func(widest int, head string, most int) int {
		if n := min(max(widest, len(head)), most); widest > 0 && left > maxBar/2 && take(n) {
			return n
		}
		return 0
	}
	l.provider = label(provider, "PROVIDER", 16)
	l.groups = label(groups, "GROUPS", 24)
	l.bar = max(min(minBar+left, maxBar), 1)
	return l
}

func (l layout) head() string {
	return l.join(cells{
		account: "ACCOUNT", priority: "PRIO", provider: "PROVIDER", groups: "GROUPS",
		bar: padded("", l.bar, false), use: "IN USE", waiting: "WAIT", errors: "ERROR", ttft: "TTFT", state: "STATE",
	})
}

type cells struct {
	account, priority, provider, groups, bar, use, waiting, errors, ttft, state string
}

// join lines up a row; the bar has its width already.
func (l layout) join(c cells) string {
	var b strings.Builder
	put := func(s string, width int, right bool) {
		if b.Len() > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		b.WriteString(padded(clipped(s, width), width, right))
	}
	put(c.account, l.account, false)
	if l.priority {
		put(c.priority, prioWidth, true)
	}
	if l.provider > 0 {
		put(c.provider, l.provider, false)
	}
	if l.groups > 0 {
		put(c.groups, l.groups, false)
	}
	b.WriteString(strings.Repeat(" ", gap) + c.bar)
	put(c.use, l.use, true)
	if l.waiting {
		put(c.waiting, waitWidth, true)
	}
	put(c.errors, errorWidth, true)
	if l.latency {
		put(c.ttft, ttftWidth, true)
	}
	put(c.state, l.state, false)
	return strings.TrimRight(b.String(), " ")
}

// barMark holds the bar's place until colors, which have no width, are put in.
const barMark = '\x00'

func (l layout) row(a *usherv1.AccountSnapshot, v topView, p paint) string {
	kind := standing(a)
	waiting := "·"
	if n := a.GetWaiting(); n > 0 {
		waiting = fmt.Sprint(n)
	}
	text := l.join(cells{
		account:  clean(a.GetAccountId()),
		priority: fmt.Sprint(a.GetPriority()),
		provider: clean(a.GetProvider()),
		groups:   groupText(a),
		bar:      strings.Repeat(string(barMark), l.bar),
		use:      slots(a.GetInUse(), a.GetMaxConcurrency()),
		waiting:  waiting,
		errors:   percent(a.GetErrorRate()),
		ttft:     millis(a.TtftMs),
		state:    stateText(a, v.cur),
	})
	text = clippedRow(text, v.width)
	before, rest, _ := strings.Cut(text, string(barMark))
	after := strings.TrimLeft(rest, string(barMark))
	filled, empty := bar(a, columns(text)-columns(before)-columns(after))
	look := rowStyle(kind, v.status != "")
	return p.wrap(look, before) + p.wrap(barStyle(a, kind, look), filled) + p.wrap(grey, empty) + p.wrap(look, after)
}

// clippedRow cuts a row without an ellipsis inside the bar.
func clippedRow(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width, 0)])
}

func rowStyle(kind standingKind, stale bool) style {
	switch {
	case stale, kind == standsBlocked:
		return grey
	default:
		return plain
	}
}

func barStyle(a *usherv1.AccountSnapshot, kind standingKind, row style) style {
	switch {
	case row == grey:
		return grey
	case kind == standsFull, kind == standsOver:
		return red
	case share(a) >= 0.75:
		return yellow
	default:
		return green
	}
}

func share(a *usherv1.AccountSnapshot) float64 {
	if a.GetMaxConcurrency() <= 0 {
		return 0
	}
	return min(float64(a.GetInUse())/float64(a.GetMaxConcurrency()), 1)
}

var eighths = []rune("▏▎▍▌▋▊▉")

// bar draws in use against the limit in eighths of a column. An unlimited
// account has no share; its number says it all.
func bar(a *usherv1.AccountSnapshot, width int) (filled, empty string) {
	if width <= 0 {
		return "", ""
	}
	n := int(share(a) * float64(width*8))
	if a.GetInUse() > 0 && a.GetMaxConcurrency() > 0 {
		n = max(n, 1)
	}
	filled = strings.Repeat("█", n/8)
	if r := n % 8; r > 0 {
		filled += string(eighths[r-1])
	}
	return filled, strings.Repeat("·", width-columns(filled))
}

// stateText is the account's state in a few words, with the time left where now is known.
func stateText(a *usherv1.AccountSnapshot, now *usherv1.MetricsSnapshot) string {
	text := word(a.GetState())
	switch {
	case a.GetOvercommitted():
		return "overcommitted"
	case a.GetBlockedReason() != usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED:
		text = word(a.GetBlockedReason())
	case stopped(a.GetState()), a.GetState() == usherv1.AccountState_ACCOUNT_STATE_DRAINING:
	case standing(a) == standsFull:
		text = "full"
	case len(a.GetLimitedModels()) > 0:
		return limitedText(a.GetLimitedModels(), now)
	}
	if until := a.GetBlockedUntil(); until != nil && now != nil {
		if d := until.AsTime().Sub(now.GetAt().AsTime()); d > 0 {
			text += " " + brief(d)
		}
	}
	return text
}

// limitedText says that some models are limited, and for how long the first of them is.
func limitedText(models []*usherv1.ModelLimit, now *usherv1.MetricsSnapshot) string {
	text := clean(models[0].GetUpstreamModel()) + " limited"
	if len(models) > 1 {
		text = fmt.Sprintf("%d models limited", len(models))
	}
	if now == nil {
		return text
	}
	first := models[0].GetUntil().AsTime()
	for _, m := range models {
		if until := m.GetUntil().AsTime(); until.Before(first) {
			first = until
		}
	}
	return text + " " + brief(max(first.Sub(now.GetAt().AsTime()), 0))
}

func groupText(a *usherv1.AccountSnapshot) string {
	return clean(strings.Join(a.GetGroups(), ","))
}
