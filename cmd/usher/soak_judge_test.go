package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// verdict is what a judge makes of the records.
type verdict struct {
	grants, unsure, adopted int
	// blind is how many of those that are not sure were granted promptly.
	blind int
	// sure are leases in times for which the limit holds; above are those taken up again, which may pass it.
	sure, above []held
	all         []*grant
	wrong       []string
}

// judgeLives finds when leases were surely held, and ends that usher's promises do not allow.
func judgeLives(lives []*life, of terms, outages []outage) *verdict {
	v := &verdict{}
	for _, l := range lives {
		for _, text := range l.wrong {
			v.say("%s %d: %s", l.name, l.number, text)
		}
		spans := l.spans(of, outages)
		for number, g := range l.grants {
			v.grants++
			v.all = append(v.all, g)
			if text := v.judge(l, g, spans, outages); text != "" {
				v.say("%s %d, lease %d on %s, granted %v: %s", l.name, l.number, number, g.account, g.granted, text)
			}
		}
	}
	return v
}

func (v *verdict) say(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// judge gives what is wrong about one lease, if anything is.
func (v *verdict) judge(l *life, g *grant, spans []span, outages []outage) string {
	missed := l.missedBy(g)
	s, known := spanOf(spans, g)
	lost := g.lost > 0
	switch {
	case !lost || g.reason == "OWNER_SILENT":
	case g.reason != "FORGOTTEN":
		return "was lost as " + g.reason
	case missed < 2:
		return fmt.Sprintf("was lost as forgotten at %v, though at most %d heartbeats lacked it", g.lost, missed)
	}
	if !known || missed >= 2 || l.replaced < g.got {
		v.unsure++
		if l.prompt(g) {
			v.blind++
		}
		return ""
	}
	until := min(s.until, g.over())
	if lost && g.reason == "OWNER_SILENT" && g.lost < s.until && !spoiled(g, outages) {
		return fmt.Sprintf("was lost by silence at %v, %v too early", g.lost, s.until-g.lost)
	}
	for _, o := range outages {
		if !spoiledBy(g, o) {
			continue
		}
		until = min(until, o.killed)
		if at, ok := l.takenUp(g, o); ok {
			v.adopted++
			above := held{g.account, at, min(g.over(), nextKill(outages, at))}
			for _, s := range spans {
				if s.from <= at && at <= s.until {
					above.until = min(above.until, s.until)
					v.above = append(v.above, above)
				}
			}
		}
	}
	if until > g.got {
		v.sure = append(v.sure, held{g.account, g.got, until})
	}
	return ""
}

// spoiledBy says that usher may not have known the lease after a kill.
func spoiledBy(g *grant, o outage) bool {
	return g.granted >= o.safe-grantSlack && g.granted <= o.started+grantSlack
}

func spoiled(g *grant, outages []outage) bool {
	return slices.ContainsFunc(outages, func(o outage) bool { return spoiledBy(g, o) })
}

func nextKill(outages []outage, at time.Duration) time.Duration {
	next := time.Duration(1<<63 - 1)
	for _, o := range outages {
		if o.killed > at {
			next = min(next, o.killed)
		}
	}
	return next
}

// checkGrants finds grants on accounts that were full with leases taken up again.
func (v *verdict) checkGrants(limits map[string]int) {
	for _, a := range v.above {
		for _, g := range v.all {
			if g.account != a.account || g.granted-grantSlack < a.from || g.got > a.until {
				continue
			}
			whole := func(h held) bool {
				return h.account == g.account && h.from <= g.granted-grantSlack && h.until >= g.got
			}
			n := 0
			for _, list := range [][]held{v.sure, v.above} {
				for _, h := range list {
					if whole(h) {
						n++
					}
				}
			}
			if n >= limits[g.account] {
				v.say("%s: a lease was granted at %v while %d were held, the limit is %d", g.account, g.granted, n, limits[g.account])
			}
		}
	}
}

// quantiles tells how long answers took that came one way.
func (v *verdict) quantiles(t *testing.T, way string) {
	t.Helper()
	var took []time.Duration
	for _, g := range v.all {
		if g.way == way {
			took = append(took, g.got-g.asked)
		}
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[int(q*float64(len(took)-1))].Round(time.Microsecond)
	}
	t.Logf("granted %s: %d, from the Select to its answer p50 %v, p90 %v, p99 %v, most %v", way, len(took), at(.5), at(.9), at(.99), at(1))
}
