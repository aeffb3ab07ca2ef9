package decide

import (
	"time"

	"usher.internal/core/pool"
)

// Verdict is what the decision made of one account.
type Verdict struct {
	Account  *pool.Account
	Upstream string    // the model it is asked for, or would be
	Reason   Reason    // None for a candidate
	Until    time.Time // the reason's deadline; zero when it has none

	// The rest is for candidates only.

	Probe   bool // it takes a probe
	Load    Load
	Stat    Stat
	Factors Factors
	Score   float64 // Factors.Score of the policy's weights, to the bit
	Rank    int     // among all candidates, 1 is best
	Drawn   int     // place in the drawn order, 1 is first; 0 when it was not drawn
}

// Explain gives a verdict for every account of the group, in listing order. drawn is
// the order that Draw gave, and may be nil. It agrees with Rank on who is a candidate
// and on every score; it is slow and allocates.
func Explain(in *Input, drawn []Candidate) []Verdict {
	var w Workspace
	w.Rank(in)
	verdicts, place := judgeGroup(in)
	for n, row := range w.candidates {
		v := &verdicts[place[row]]
		v.Probe = w.NeedsProbe(row)
		v.Load, v.Stat = w.loads[row], w.stats[row]
		v.Factors = w.spread.factors(in.View.Rows()[row].Priority, &v.Load, &v.Stat)
		v.Score = w.scores[n]
	}
	all := best{k: len(w.candidates)}
	for n, row := range w.candidates {
		w.insert(&all, scored{w.scores[n], row})
	}
	for n, c := range w.finish(&all, nil) {
		verdicts[place[c.Row]].Rank = n + 1
	}
	for n := range drawn {
		verdicts[place[drawn[n].Row]].Drawn = n + 1
	}
	return verdicts
}

// judgeGroup judges every account of the group; place gives each view row's verdict.
func judgeGroup(in *Input) (verdicts []Verdict, place []int) {
	members := in.members()
	verdicts, place = make([]Verdict, len(members)), make([]int, in.View.Len())
	f := in.Request.Fitness(LayerLoadBalance, in.Policy)
	row := 0
	for i, a := range members {
		v := &verdicts[i]
		v.Account = a
		v.Upstream, _ = a.Models.Map(f.Query.Model)
		cold, inView := in.member(row, a)
		v.Reason, v.Until = in.eligible(a, cold, &f, row)
		if inView {
			place[row] = i
			row++
		}
	}
	return verdicts, place
}

func (in *Input) members() []*pool.Account {
	return in.View.Set().Members(in.View.Query().Group)
}

// member tells whether a is the view's account at row, the first that has not come yet, and what
// is known of its cooldowns. One outside the view never serves the query, cold or not.
func (in *Input) member(row int, a *pool.Account) (cold *Cold, inView bool) {
	if row >= in.View.Len() || in.View.Account(row) != a {
		return nil, false
	}
	if row < len(in.Colds) {
		cold = in.Colds[row]
	}
	return cold, true
}

// eligible is Eligible, and Probing for one whose probe is out; row is the account's when it is in the view.
func (in *Input) eligible(a *pool.Account, c *Cold, f *Fitness, row int) (Reason, time.Time) {
	r, until := Eligible(a, c, f, in.Now)
	if r == None && c != nil && row < len(in.Loads) && AwaitsProbe(&in.Loads[row], c, in.View.Upstream(row), in.Policy, in.Now) {
		return Probing, time.Time{}
	}
	return r, until
}

// Counts is a number of accounts by reason; None counts the candidates.
type Counts [reasonCount]int

// Of gives the count of a reason.
func (c *Counts) Of(r Reason) int {
	if r < reasonCount {
		return c[r]
	}
	return 0
}

// CountReasons counts the group's accounts by what load balancing says of them. next is the
// earliest instant at which one that a deadline excludes may serve if nothing but time
// changes; nil when there is none. It is slow: one pass over the group.
func CountReasons(in *Input) (counts Counts, next *time.Time) {
	f := in.Request.Fitness(LayerLoadBalance, in.Policy)
	row := 0
	for _, a := range in.members() {
		cold, inView := in.member(row, a)
		r, until := in.eligible(a, cold, &f, row)
		if inView {
			row++
		}
		counts[r]++
		if until.IsZero() {
			continue
		}
		if at, ok := NextEligible(a, cold, &f, until); ok && (next == nil || at.Before(*next)) {
			next = &at
		}
	}
	return counts, next
}
