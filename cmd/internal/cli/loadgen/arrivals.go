package loadgen

import (
	"math/rand/v2"
	"time"
)

// arrivals are the times at which an open loop starts pairs.
type arrivals struct {
	rate   float64 // each second
	random *rand.Rand
	n      uint64
	at     float64 // seconds from the start
}

// newArrivals are evenly spaced, or a Poisson process of the same rate.
func newArrivals(rate float64, poisson bool, seed uint64) *arrivals {
	a := &arrivals{rate: rate}
	if poisson {
		a.random = rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	}
	return a
}

// next is the time of the next one from the start.
func (a *arrivals) next() time.Duration {
	if a.random != nil {
		a.at += a.random.ExpFloat64() / a.rate
	} else {
		// From the count, so that no error adds up.
		a.at = float64(a.n) / a.rate
	}
	a.n++
	return time.Duration(a.at * float64(time.Second))
}
