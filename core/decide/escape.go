package decide

import "time"

// Escapes tells that an account does so badly, by its error rate or by its TTFT against the median of its
// group, that a session bound to it had better be served elsewhere. What little or old samples say is
// discounted. It costs at most one pass over the group.
func Escapes(stat Stat, group []Stat, p *Policy) bool {
	fading := p.HalfLife > 0
	errors, first := 1.0, 1.0
	if fading {
		errors, first = share(stat.ErrorWeight), share(stat.TTFTWeight)
	}
	if p.Escape.ErrorRate > 0 && float64(errors*clamp01(stat.errorRate())) >= p.Escape.ErrorRate {
		return true
	}
	ttft, ok := stat.ttft()
	if !ok || first == 0 || !(p.Escape.TTFTFactor > 1) {
		return false
	}
	// The TTFT, drawn towards the median by what weight it lacks, exceeds its multiple just when the median lies below
	// the one, and the median by the floor just when it lies below the other.
	floor := float64(p.Escape.TTFTFloor) / float64(time.Millisecond)
	return medianBelow(min(float64(first*ttft)/(p.Escape.TTFTFactor-1+first), ttft-floor/first), group, fading)
}

// medianBelow tells that half of the samples, by weight, lie below a bound: so does the lower median.
func medianBelow(bound float64, group []Stat, fading bool) bool {
	var below, all float64
	for i := range group {
		t, ok := group[i].ttft()
		if !ok {
			continue
		}
		weight := 1.0
		if fading {
			weight = share(group[i].TTFTWeight)
		}
		all += weight
		if t < bound {
			below += weight
		}
	}
	return all > 0 && below >= all/2
}
