package decide

import "cmp"

// Candidate is an account that passed every check, with its score.
type Candidate struct {
	Score    float64
	LoadRate float64 // percent
	Priority int
	Row      int32 // in the view
	Ordinal  int32 // Account.Ordinal
	Waiting  int32
	idRank   int32
}

// compare orders by rank: score descending, then priority, load rate, waiting and id
// ascending. Ids differ inside a set, so only a candidate itself compares as 0.
func (c *Candidate) compare(o *Candidate) int {
	switch {
	case c.Score > o.Score:
		return -1
	case c.Score < o.Score:
		return 1
	case c.Priority != o.Priority:
		return cmp.Compare(c.Priority, o.Priority)
	case c.LoadRate < o.LoadRate:
		return -1
	case c.LoadRate > o.LoadRate:
		return 1
	case c.Waiting != o.Waiting:
		return cmp.Compare(c.Waiting, o.Waiting)
	}
	return cmp.Compare(c.idRank, o.idRank)
}
