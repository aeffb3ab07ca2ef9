package decide

import "time"

// Crowd is what several replicas have learned of one account, as of one instant. Its zero value is of nobody.
type Crowd struct {
	// The means, by weight.
	errorRate, ttft float64
	// The sums of the weights. Without a half-life all that was learned weighs 1.
	errors, ttfts float64
	// The greatest of the weights.
	errorMost, ttftMost float32
}

// Add takes in what one more replica has learned, as of the crowd's instant. sampled says that an outcome was
// among it; it is read only without a half-life.
func (f Fading) Add(c *Crowd, s *Stat, sampled bool) {
	if w := f.errorWeight(s, sampled); w > 0 {
		c.errors += float64(w)
		c.errorRate = pull(c.errorRate, clamp01(s.errorRate()), float64(w)/c.errors)
		c.errorMost = max(c.errorMost, w)
	}
	if w, t := f.ttftWeight(s); w > 0 {
		c.ttfts += float64(w)
		c.ttft = pull(c.ttft, t, float64(w)/c.ttfts)
		c.ttftMost = max(c.ttftMost, w)
	}
}

// Merge makes a replica's own statistics those of all: the mean by weight, and as sure as the surest one is, since who
// learned long ago makes no certainty together with others who did. left is what the time since the crowd's instant leaves of its
// weights, see Left; sampled as in Add. It costs a division for each of the two.
func (f Fading) Merge(own *Stat, c *Crowd, left float32, sampled bool) {
	if most := c.errorMost * left; most >= forgotten {
		mine, theirs := float64(f.errorWeight(own, sampled)), c.errors*float64(left)
		own.ErrorRate = pull(clamp01(own.errorRate()), c.errorRate, theirs/(mine+theirs))
		if f.On() {
			own.ErrorWeight = max(own.ErrorWeight, most)
		}
	}
	if most := c.ttftMost * left; most >= forgotten {
		w, mine := f.ttftWeight(own)
		theirs := c.ttfts * float64(left)
		own.TTFT, own.HasTTFT = pull(mine, c.ttft, theirs/(float64(w)+theirs)), true
		if f.On() {
			own.TTFTWeight = max(own.TTFTWeight, most)
		}
	}
}

// Left gives the share of a weight that a silence leaves.
func (f Fading) Left(silence time.Duration) float32 { return f.left(silence) }

func (f Fading) errorWeight(s *Stat, sampled bool) float32 {
	switch {
	case f.On():
		return float32(share(s.ErrorWeight))
	case sampled:
		return 1
	}
	return 0
}

// ttftWeight gives the first-token time too; both are 0 without one.
func (f Fading) ttftWeight(s *Stat) (weight float32, ttft float64) {
	ttft, ok := s.ttft()
	switch {
	case !ok:
		return 0, 0
	case f.On():
		weight = float32(share(s.TTFTWeight))
	default:
		weight = 1
	}
	if weight == 0 {
		return 0, 0
	}
	return weight, ttft
}

// pull gives what lies by a share of the way from one value to another: all the way from 0 it is the other to the bit.
func pull(from, to, share float64) float64 { return from + float64((to-from)*share) }
