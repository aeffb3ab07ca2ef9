package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// grantSlack is how far a grant's time, which comes from the usher's wall clock, may be off.
const grantSlack = 5 * time.Millisecond

// grant is what a gateway took down of one lease. A time that is not known is 0.
type grant struct {
	account, tenant, way string
	priority             int
	asked, granted, got  time.Duration
	ended, lost          time.Duration
	reason               string
}

// over is when the gateway held it no more, the end of time if it did not come to that.
func (g *grant) over() time.Duration {
	over := time.Duration(math.MaxInt64)
	for _, at := range []time.Duration{g.ended, g.lost} {
		if at > 0 {
			over = min(over, at)
		}
	}
	return over
}

// sign is a hello or a heartbeat. acked is when the gateway knew that it had arrived.
type sign struct {
	stream      int
	number      uint64
	sent, acked time.Duration
	hello       bool
}

// breach is the end of streams: of one that broke, seen at the gateway some time after usher, or, with stream 0,
// of all whose hello was sent before, which are ended on purpose now or later.
type breach struct {
	stream int
	at     time.Duration
}

// outage is a kill of usher. Its state file has all that was answered before safe.
type outage struct{ safe, killed, started time.Duration }

// life is what is known of one incarnation of a gateway.
type life struct {
	name     string
	number   int
	signs    []sign
	breaches []breach
	grants   map[int]*grant
	replaced time.Duration // when a later one said that it replaces this one
	stops    []time.Duration
	conts    []time.Duration
	wrong    []string
	drained  bool
}

func newLife(name string, number int) *life {
	return &life{name: name, number: number, grants: make(map[int]*grant), replaced: math.MaxInt64}
}

// read takes one record of the gateway's.
func (l *life) read(line string, tally map[string]int) error {
	what, rest, _ := strings.Cut(line, " ")
	switch what {
	case "wrong":
		l.wrong = append(l.wrong, rest)
		return nil
	case "tally":
		var n int
		number, name, _ := strings.Cut(rest, " ")
		_, err := fmt.Sscan(number, &n)
		tally[name] += n
		return err
	case "got":
		return l.readGot(rest)
	}
	var n [3]int64
	fields := strings.Fields(rest)
	reason := ""
	if what == "lost" && len(fields) == 3 {
		reason = fields[1]
		fields = []string{fields[0], fields[2]}
	}
	for i, text := range fields {
		var err error
		if n[min(i, 2)], err = strconv.ParseInt(text, 10, 64); err != nil {
			return err
		}
	}
	switch what {
	case "hello", "beat":
		l.signs = append(l.signs, sign{stream: int(n[0]), number: uint64(n[1]), sent: time.Duration(n[2]), hello: what == "hello"})
	case "ack":
		l.acked(int(n[0]), uint64(n[1]), time.Duration(n[2]))
	case "broken":
		l.breaches = append(l.breaches, breach{int(n[0]), time.Duration(n[1])})
	case "end":
		l.grants[int(n[0])].ended = time.Duration(n[1])
	case "lost":
		g := l.grants[int(n[0])]
		g.lost, g.reason = time.Duration(n[1]), reason
	case "drained":
		l.drained = true
	case "replaces": // it is the fleet that knows the others
	default:
		return fmt.Errorf("no such record: %s", line)
	}
	return nil
}

func (l *life) readGot(rest string) error {
	g := &grant{}
	var number int
	var granted, got, asked int64
	if _, err := fmt.Sscan(rest, &number, &g.account, &granted, &got, &asked, &g.way, &g.tenant, &g.priority); err != nil {
		return fmt.Errorf("%w: got %s", err, rest)
	}
	g.granted, g.got, g.asked = time.Duration(granted), time.Duration(got), time.Duration(asked)
	l.grants[number] = g
	return nil
}

// acked takes down that a sign has arrived, and those before it on its stream.
func (l *life) acked(stream int, number uint64, at time.Duration) {
	for i := len(l.signs) - 1; i >= 0 && l.signs[i].stream == stream && l.signs[i].acked == 0; i-- {
		if l.signs[i].number <= number {
			l.signs[i].acked = at
		}
	}
}

// span is a time during which the leases that an incarnation asked for and got within it have surely not ended by its silence.
type span struct{ from, until time.Duration }

// terms are what an owner keeps to, as configured.
type terms struct{ timeout, grace time.Duration }

// happening is one thing that bears on how long an owner's leases stand.
type happening struct {
	at  time.Duration
	act func(*watchman)
}

// watchman goes through what happened to an incarnation. All that is not known is taken as it makes leases end sooner.
type watchman struct {
	terms terms
	spans []span
	// dead has streams that have ended; what arrives on them tells nothing.
	dead  map[int]bool
	heard time.Duration // when the last sign was sent that has arrived
	// away says that usher was killed while the owner was known.
	away bool
}

func (w *watchman) last() *span {
	if len(w.spans) == 0 {
		w.spans = append(w.spans, span{math.MinInt64, math.MinInt64})
	}
	return &w.spans[len(w.spans)-1]
}

// arrived is a sign of life: it counts from when it was sent, if it had come in time when it was known to have come.
func (w *watchman) arrived(s sign) {
	if w.dead[s.stream] || w.away {
		return
	}
	w.heard = s.sent
	until := s.sent + w.terms.timeout + w.terms.grace
	if s.acked > w.last().until {
		w.spans = append(w.spans, span{s.acked, until})
		return
	}
	w.last().until = until
}

func (w *watchman) ends(until time.Duration) {
	if !w.away {
		w.last().until = min(w.last().until, until)
	}
}

// spans gives the times in order.
func (l *life) spans(of terms, outages []outage) []span {
	w := &watchman{terms: of, dead: make(map[int]bool)}
	opened := make(map[int]time.Duration)
	var all []happening
	for _, s := range l.signs {
		if s.hello {
			opened[s.stream] = s.sent
		}
		if s.acked > 0 {
			all = append(all, happening{s.acked, func(w *watchman) { w.arrived(s) }})
		}
	}
	endBefore := func(at time.Duration) {
		for stream, sent := range opened {
			w.dead[stream] = w.dead[stream] || sent < at
		}
	}
	for _, b := range l.breaches {
		all = append(all, happening{b.at, func(w *watchman) {
			switch {
			case b.stream == 0:
				endBefore(b.at)
				w.ends(b.at + of.grace)
			case !w.dead[b.stream]:
				w.dead[b.stream] = true
				w.ends(w.heard + of.grace)
			}
		}})
	}
	for _, o := range outages {
		all = append(all, happening{o.killed, func(w *watchman) {
			endBefore(o.killed)
			if w.last().until >= o.killed {
				w.away, w.last().until = true, o.started
			}
		}}, happening{o.started, func(w *watchman) {
			if w.away {
				w.away, w.last().until = false, o.started+of.grace
			}
		}})
	}
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	for _, h := range all {
		h.act(w)
	}
	for i := range w.spans {
		w.spans[i].until = min(w.spans[i].until, l.replaced)
	}
	return w.spans
}

// wentOn says that it was stopped until its leases were ended, was told so, and has got others since.
func (l *life) wentOn() bool {
	var told time.Duration
	for _, g := range l.grants {
		if at := g.lost; at > 0 && g.reason == "OWNER_SILENT" && len(l.conts) > 0 && at > l.conts[0] {
			told = max(told, at)
		}
	}
	if told == 0 {
		return false
	}
	for _, g := range l.grants {
		if g.asked > told {
			return true
		}
	}
	return false
}

// spanOf finds the span in which a lease was asked for and answered.
func spanOf(spans []span, g *grant) (span, bool) {
	for _, s := range spans {
		if s.from <= g.asked && g.got <= s.until {
			return s, true
		}
	}
	return span{}, false
}

// missedBy counts heartbeats that may have come after the lease was granted and were sent before its answer came, so that they do not list it.
func (l *life) missedBy(g *grant) (n int) {
	// One that is not acked comes no more when a later stream stands.
	heard := time.Duration(math.MaxInt64)
	for _, s := range slices.Backward(l.signs) {
		if s.acked > 0 {
			heard = s.acked
		}
		if heard < g.granted-grantSlack {
			break
		}
		if !s.hello && s.sent < g.got {
			n++
		}
	}
	return n
}

// prompt says that nobody was late over a lease: a sign that tells of its whole time had arrived soon, and so had its answer.
func (l *life) prompt(g *grant) bool {
	return g.got-g.granted < fleetBeat && slices.ContainsFunc(l.signs, func(s sign) bool {
		return s.acked > 0 && s.acked-s.sent < fleetBeat && s.acked <= g.asked && g.got-s.sent < 2*fleetBeat
	})
}

// takenUp gives when the gateway knew that the usher that was started had a lease from its heartbeat.
func (l *life) takenUp(g *grant, o outage) (time.Duration, bool) {
	for _, s := range l.signs {
		if !s.hello && s.acked > 0 && s.sent > max(g.got, o.started) {
			return s.acked, s.acked < g.over()
		}
	}
	return 0, false
}
