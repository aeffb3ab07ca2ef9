package telemetry

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

const (
	// accuracy is the largest relative error of a quantile.
	accuracy = 0.01
	// maxBins is what 1 ns to several days need at that accuracy; beyond it the smallest values lose theirs.
	maxBins = 2048
	// maxStripes bounds the memory on large machines.
	maxStripes = 16
)

// Quantiles describe a distribution of durations. All are 0 without samples.
type Quantiles struct {
	Count                    uint64
	P50, P90, P99, P999, Max time.Duration
}

// sketch is a quantile sketch in stripes, so that callers seldom meet at a lock.
type sketch struct {
	mapping mapping.IndexMapping
	stripes []stripe // a power of two
}

type stripe struct {
	// mu guards the fields below.
	mu    sync.Mutex
	dd    *ddsketch.DDSketch
	count uint64
	max   time.Duration
	// Keeps neighbors off one cache line.
	_ [64]byte
}

func newSketch() (*sketch, error) {
	// Cubic interpolation takes no logarithm on the hot path and few bins more.
	m, err := mapping.NewCubicallyInterpolatedMapping(accuracy)
	if err != nil {
		return nil, err
	}
	n := 1
	for n < 2*runtime.GOMAXPROCS(0) && n < maxStripes {
		n *= 2
	}
	s := &sketch{mapping: m, stripes: make([]stripe, n)}
	for i := range s.stripes {
		s.stripes[i].dd = s.empty()
	}
	return s, nil
}

func (s *sketch) empty() *ddsketch.DDSketch {
	return ddsketch.NewDDSketch(s.mapping, store.NewCollapsingLowestDenseStore(maxBins), store.NewCollapsingLowestDenseStore(1))
}

// add takes one sample; a negative one counts as 0.
func (s *sketch) add(d time.Duration) {
	d = max(d, 0)
	i := int(rand.Uint32()) & (len(s.stripes) - 1)
	st := &s.stripes[i]
	if !st.mu.TryLock() {
		st = &s.stripes[(i+1)&(len(s.stripes)-1)]
		st.mu.Lock()
	}
	defer st.mu.Unlock()
	// A finite value that is not negative is always trackable.
	if st.dd.Add(float64(d)) != nil {
		return
	}
	st.count++
	st.max = max(st.max, d)
}

func (s *sketch) quantiles() Quantiles {
	all := s.empty()
	var q Quantiles
	for i := range s.stripes {
		st := &s.stripes[i]
		st.mu.Lock()
		err := all.MergeWith(st.dd)
		q.Count += st.count
		q.Max = max(q.Max, st.max)
		st.mu.Unlock()
		if err != nil {
			// Only sketches of different mappings do not merge.
			return Quantiles{}
		}
	}
	values, err := all.GetValuesAtQuantiles([]float64{0.5, 0.9, 0.99, 0.999})
	if err != nil {
		return Quantiles{}
	}
	// A bin's value may lie above the largest sample in it.
	at := func(i int) time.Duration { return min(time.Duration(values[i]), q.Max) }
	q.P50, q.P90, q.P99, q.P999 = at(0), at(1), at(2), at(3)
	return q
}
