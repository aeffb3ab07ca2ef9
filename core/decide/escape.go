package decide

import (
	"cmp"
	"slices"
	"time"
)

// Escapes tells that an account does so badly, by its error rate or by its TTFT against the median of its
// group, that a session bound to it had better be served elsewhere. What little or old samples say is
// discounted. It costs at most one pass over the group.
func Escapes(stat Stat, group []Stat, p *Policy) bool {
	escapes, bound := escapeBound(stat, p)
	return escapes || bound > 0 && medianBelow(bound, group, p.HalfLife > 0)
}

// escapeBound tells that an account escapes by its error rate, or else below which median it does by its TTFT; 0 is none.
func escapeBound(stat Stat, p *Policy) (escapes bool, bound float64) {
	errors, first := 1.0, 1.0
	if p.HalfLife > 0 {
		errors, first = share(stat.ErrorWeight), share(stat.TTFTWeight)
	}
	if p.Escape.ErrorRate > 0 && float64(errors*clamp01(stat.errorRate())) >= p.Escape.ErrorRate {
		return true, 0
	}
	ttft, ok := stat.ttft()
	if !ok || first == 0 || !(p.Escape.TTFTFactor > 1) {
		return false, 0
	}
	// The TTFT, drawn towards the median by what weight it lacks, exceeds its multiple just when the median lies below
	// the one, and the median by the floor just when it lies below the other.
	floor := float64(p.Escape.TTFTFloor) / float64(time.Millisecond)
	return false, min(float64(first*ttft)/(p.Escape.TTFTFactor-1+first), ttft-floor/first)
}

// weighed gives an account's TTFT and the weight that it has among its group's.
func (s *Stat) weighed(fading bool) (ttft, weight float64, ok bool) {
	ttft, ok = s.ttft()
	weight = 1
	if fading {
		weight = share(s.TTFTWeight)
	}
	return ttft, weight, ok
}

// medianBelow tells that half of the samples, by weight, lie below a bound: so does the lower median.
func medianBelow(bound float64, group []Stat, fading bool) bool {
	var below, all float64
	for i := range group {
		t, weight, ok := group[i].weighed(fading)
		if !ok {
			continue
		}
		all += weight
		if t < bound {
			below += weight
		}
	}
	return all > 0 && below >= all/2
}

// AllEscape fills escapes, which is as long as the group, with what Escapes tells of each account. It sorts the group once.
func AllEscape(group []Stat, p *Policy, escapes []bool) {
	type sample struct{ ttft, weight float64 }
	samples := make([]sample, 0, len(group))
	fading := p.HalfLife > 0
	for i := range group {
		if t, weight, ok := group[i].weighed(fading); ok {
			samples = append(samples, sample{t, weight})
		}
	}
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.ttft, b.ttft) })
	var all float64
	for i := range samples {
		all += samples[i].weight
	}
	median, below := 0.0, 0.0
	for i := range samples {
		median, below = samples[i].ttft, below+samples[i].weight
		if below >= all/2 {
			break
		}
	}
	for i := range group {
		byRate, bound := escapeBound(group[i], p)
		escapes[i] = byRate || bound > 0 && all > 0 && median < bound
	}
}
