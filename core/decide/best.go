package decide

import (
	"math"
	"slices"
)

// smallK is the size up to which a sorted array beats sorting everything.
const smallK = 32

// scored is a row with its score; everything else is looked up when scores are equal.
type scored struct {
	score float64
	row   int32
}

// best collects the first k rows by rank.
type best struct {
	list []scored
	k    int
}

// outranks tells whether a comes before b.
func (w *Workspace) outranks(a, b scored) bool {
	return a.score > b.score || a.score == b.score && w.breakTie(a, b) < 0
}

func (w *Workspace) breakTie(a, b scored) int {
	x, y := w.candidate(a), w.candidate(b)
	return x.compare(&y)
}

// insert takes a row if it is among the first k so far, k ≥ 1. It gives the
// score below which no other gets in.
func (w *Workspace) insert(b *best, e scored) (bar float64) {
	n := len(b.list)
	switch {
	case b.k > smallK:
		b.list = append(b.list, e)
		return math.Inf(-1)
	case n < b.k:
		b.list = append(b.list, e)
	case !w.outranks(e, b.list[n-1]):
		return b.list[n-1].score
	}
	list := b.list
	i := len(list) - 1
	for ; i > 0 && w.outranks(e, list[i-1]); i-- {
		list[i] = list[i-1]
	}
	list[i] = e
	if len(list) < b.k {
		return math.Inf(-1)
	}
	return list[len(list)-1].score
}

// finish gives the collected rows in rank order, in the memory of out.
func (w *Workspace) finish(b *best, out []Candidate) []Candidate {
	if b.k > smallK {
		slices.SortFunc(b.list, func(x, y scored) int {
			switch {
			case x.score > y.score:
				return -1
			case x.score < y.score:
				return 1
			}
			return w.breakTie(x, y)
		})
		b.list = b.list[:min(b.k, len(b.list))]
	}
	out = sized(out, len(b.list))
	for i, e := range b.list {
		out[i] = w.candidate(e)
	}
	return out
}
