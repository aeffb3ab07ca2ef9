package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var inMilliseconds = regexp.MustCompile(`(\d)T\b`)

// recorded makes a life of records, in which 12T stands for 12 ms.
func recorded(t *testing.T, records ...string) *life {
	t.Helper()
	l := newLife("gateway", 1)
	for _, r := range records {
		if err := l.read(inMilliseconds.ReplaceAllString(r, "${1}000000"), map[string]int{}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// got is the record of a lease that was asked for, granted and got at the times.
func got(number, asked, granted, got int) string {
	return fmt.Sprintf("got %d a %dT %dT %dT at-once tenant-0 0", number, granted, got, asked)
}

// The owner counts as gone 800 ms after its last sign, and its leases stand for 700 ms more.
func TestJudgeKnowsHowLongALeaseStands(t *testing.T) {
	hello := []string{"hello 1 1 1000T", "ack 1 1 1001T"}
	beat := func(number, at int) []string {
		return []string{fmt.Sprintf("beat 1 %d %dT", number, at), fmt.Sprintf("ack 1 %d %dT", number, at+1)}
	}
	lease := got(1, 1100, 1101, 1102)
	for name, c := range map[string]struct {
		records  []string
		breaches []breach
		outages  []outage
		until    int // 0 is not sure at all
	}{
		"released":                {[]string{lease, "end 1 1500T"}, nil, nil, 1500},
		"silent":                  {[]string{lease}, nil, nil, 2500},
		"heard of":                {append(beat(2, 2000), lease), nil, nil, 3500},
		"heard of too late":       {append(beat(2, 2600), lease), nil, nil, 2500},
		"killed":                  {[]string{lease}, []breach{{0, ms(1300)}}, nil, 2000},
		"broken by itself":        {append(beat(2, 1200), lease, "broken 1 1400T"), nil, nil, 1900},
		"back in time":            {[]string{lease, "hello 2 5 1600T", "ack 2 5 1650T"}, []breach{{0, ms(1300)}}, nil, 3100},
		"ack after the cut":       {append(beat(2, 1299), lease), []breach{{0, ms(1299)}}, nil, 1999},
		"usher killed":            {[]string{lease, "broken 1 1310T"}, nil, []outage{{ms(1200), ms(1300), ms(1400)}}, 2100},
		"usher killed before":     {[]string{lease}, nil, []outage{{ms(900), ms(950), ms(960)}}, 2500},
		"not in the file":         {[]string{lease}, nil, []outage{{ms(1050), ms(1300), ms(1400)}}, 1300},
		"asked while silent":      {append([]string{got(1, 2550, 2601, 2603)}, beat(2, 2600)...), nil, nil, 0},
		"may have been forgotten": {append(append([]string{got(1, 1010, 1011, 1400)}, beat(2, 1100)...), beat(3, 1200)...), nil, nil, 0},
	} {
		l := recorded(t, append(hello, c.records...)...)
		l.breaches = append(c.breaches, l.breaches...)
		v := judgeLives([]*life{l}, fleetOwners, c.outages)
		var until time.Duration
		if len(v.sure) > 0 {
			until = v.sure[0].until
		}
		if until != ms(c.until) || v.wrong != nil {
			t.Errorf("%s: held until %v, want %v; wrong %q", name, until, ms(c.until), v.wrong)
		}
	}
}

func TestJudgeSeesWhatIsWrong(t *testing.T) {
	lives := []string{"hello 1 1 1000T", "ack 1 1 1001T", got(1, 1100, 1101, 1102)}
	for name, c := range map[string]struct {
		records []string
		want    string
	}{
		"too early":        {[]string{"lost 1 OWNER_SILENT 2400T"}, "by silence"},
		"in time":          {[]string{"lost 1 OWNER_SILENT 2600T"}, ""},
		"remembered":       {[]string{"beat 1 2 1200T", "ack 1 2 1201T", "lost 1 FORGOTTEN 1300T"}, "forgotten"},
		"lifetime":         {[]string{"lost 1 EXPIRED 1300T"}, "EXPIRED"},
		"the gateway says": {[]string{"wrong select: internal"}, "internal"},
	} {
		v := judgeLives([]*life{recorded(t, append(lives, c.records...)...)}, fleetOwners, nil)
		if text := strings.Join(v.wrong, "; "); (text == "") != (c.want == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

// What is not sure because somebody was late is no fault of the judge's.
func TestJudgeKnowsWhoWasLate(t *testing.T) {
	for name, c := range map[string]struct {
		ack   string
		lease string
		blind int
	}{
		"nobody":  {"ack 1 1 1001T", got(1, 1100, 1101, 1102), 1},
		"usher":   {"ack 1 1 1300T", got(1, 1310, 1311, 1312), 0},
		"gateway": {"ack 1 1 1001T", got(1, 2550, 2551, 2552), 0},
		"answer":  {"ack 1 1 1001T", got(1, 1100, 1101, 1260), 0},
	} {
		l := recorded(t, "hello 1 1 1000T", c.ack, c.lease)
		l.replaced = ms(1050) // so that nothing is sure
		if v := judgeLives([]*life{l}, fleetOwners, nil); v.unsure != 1 || v.blind != c.blind {
			t.Errorf("%s was late: %d are not sure, %d of them with nobody late, want 1 and %d", name, v.unsure, v.blind, c.blind)
		}
	}
}

// After a kill of usher one lease too many is held, which it may be; the next is granted before one of them is over, which it may not.
func TestJudgeSeesAGrantAboveTheLimit(t *testing.T) {
	l := recorded(t, "hello 1 1 1000T", "ack 1 1 1001T", got(1, 1100, 1101, 1102), got(2, 1450, 1460, 1470),
		"hello 2 2 1410T", "ack 2 2 1411T", "beat 2 3 1412T", "ack 2 3 1413T", got(3, 1500, 1510, 1520))
	l.grants[2].account, l.grants[3].account = "b", "a"
	v := judgeLives([]*life{l}, fleetOwners, []outage{{ms(1050), ms(1300), ms(1400)}})
	if v.checkGrants(map[string]int{"a": 2, "b": 1}); v.wrong != nil || v.adopted != 1 {
		t.Errorf("within the limit: %q, %d taken up", v.wrong, v.adopted)
	}
	if v.checkGrants(map[string]int{"a": 1, "b": 1}); len(v.wrong) != 1 {
		t.Errorf("above the limit: %q", v.wrong)
	}
}

// TestSoakSeesTwiceTheLimit: an usher that grants more than the judge believes is found out.
func TestSoakSeesTwiceTheLimit(t *testing.T) {
	f := newFleet(t, 2)
	eventually(t, "too much is held on every account", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		most := mostHeld(judgeLives(f.lives, fleetOwners, f.outages).sure)
		for id, limit := range fleetLimits {
			if most[id].atOnce <= limit {
				return false
			}
		}
		return true
	})
	eventually(t, "what usher says of itself is found wrong", func() bool { return f.watch.found() != nil })
}
