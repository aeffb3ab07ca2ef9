package decide

import "math"

// drawer is the scratch of one draw; all slices have one length.
type drawer struct {
	order   []int32   // places in drawn order
	left    []int32   // places not yet drawn, in rank order
	weights []float64 // of left
	sums    []float64 // running sums of weights
}

// draw fills order with the places of list, which is in rank order, in drawn order.
// One candidate draws nothing.
func (d *drawer) draw(list []Candidate, seed uint64) {
	n := len(list)
	d.order, d.left = sized(d.order, n), sized(d.left, n)
	d.weights, d.sums = sized(d.weights, n), sized(d.sums, n)
	for i := range d.left {
		d.left[i] = int32(i)
	}
	d.weigh(list)
	order, left, weights, sums := d.order, d.left, d.weights, d.sums
	g := NewGenerator(seed)
	sum := 0.0
	for i, w := range weights {
		sum += w
		sums[i] = sum
	}
	for ; n > 1; n-- {
		i := pick(sums[:n], float64(g.Float64()*sums[n-1]))
		order[len(order)-n] = left[i]
		// The sums before i stand: they are the same additions.
		sum = 0
		if i > 0 {
			sum = sums[i-1]
		}
		for ; i < n-1; i++ {
			w := weights[i+1]
			sum += w
			left[i], weights[i], sums[i] = left[i+1], w, sum
		}
	}
	if n == 1 {
		order[len(order)-1] = left[0]
	}
}

func (d *drawer) weigh(list []Candidate) {
	lowest := math.Inf(1)
	for i := range list {
		lowest = min(lowest, list[i].Score)
	}
	for i := range list {
		w := (list[i].Score - lowest) + 1
		if !(w > 0) || math.IsInf(w, 1) {
			w = 1
		}
		d.weights[i] = w
	}
}

// pick gives the first place whose running sum reaches x, else the last. Weights are
// positive, so it counts the sums below x: no branch for the processor to guess wrong.
func pick(sums []float64, x float64) int {
	i := 0
	for _, sum := range sums {
		i += int(math.Float64bits(sum-x) >> 63)
	}
	return min(i, len(sums)-1)
}
