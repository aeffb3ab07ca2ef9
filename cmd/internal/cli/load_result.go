package cli

import (
	"slices"
	"time"

	"usher.internal/cmd/internal/cli/loadgen"
)

// loadResult is what load prints. The names say the units; quantiles are
// within 0.5 %.
type loadResult struct {
	Address      string       `json:"address"`
	Callers      int          `json:"callers"`
	Rate         float64      `json:"rate,omitempty"`
	Arrivals     string       `json:"arrivals,omitempty"`
	Connections  int          `json:"connections"`
	Reports      string       `json:"reports"`
	Sessions     int          `json:"sessions"`
	WaitSeconds  float64      `json:"wait_seconds,omitempty"`
	RoundSeconds float64      `json:"round_seconds"`
	Bytes        messageSizes `json:"message_bytes"`
	Usher        loadSide     `json:"usher"`
	Echo         *loadSide    `json:"echo,omitempty"`
	Ratio        *loadRatio   `json:"ratio,omitempty"`
}

// loadSide is one side over all rounds.
type loadSide struct {
	PairsPerSecond     float64       `json:"pairs_per_second"` // median
	EachPairsPerSecond []float64     `json:"each_pairs_per_second"`
	Select             *loadQuantile `json:"select"`
	Report             *loadQuantile `json:"report,omitempty"`
	Pair               *loadQuantile `json:"pair"`

	Pairs     uint64            `json:"pairs"`
	Plans     uint64            `json:"wait_plans"`
	Refusals  uint64            `json:"refusals"`
	Unapplied uint64            `json:"reports_not_applied"`
	Unsent    uint64            `json:"unsent"`
	Errors    map[string]uint64 `json:"errors"`
}

type loadQuantile struct {
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

// loadRatio is usher's figure over echo's, each the median over the rounds.
type loadRatio struct {
	Throughput     float64   `json:"throughput"`
	P99            float64   `json:"p99"`
	EachThroughput []float64 `json:"each_throughput"`
	EachP99        []float64 `json:"each_p99"`
}

func sideOf(rounds []loadgen.Round) (loadSide, error) {
	all, err := loadgen.NewRecord()
	if err != nil {
		return loadSide{}, err
	}
	var s loadSide
	for _, r := range rounds {
		if err := all.Merge(r.Record); err != nil {
			return loadSide{}, err
		}
		s.EachPairsPerSecond = append(s.EachPairsPerSecond, r.Throughput())
		s.Unsent += r.Unsent
	}
	s.PairsPerSecond = median(s.EachPairsPerSecond)
	s.Select, s.Report, s.Pair = quantilesOf(all.Select), quantilesOf(all.Report), quantilesOf(all.Pair)
	s.Pairs, s.Plans, s.Refusals, s.Unapplied = all.Pairs, all.Plans, all.Refusals, all.Unapplied
	s.Errors = all.Errors
	return s, nil
}

func quantilesOf(l *loadgen.Latencies) *loadQuantile {
	if l.Count() == 0 {
		return nil
	}
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	return &loadQuantile{P50: us(l.Quantile(0.5)), P99: us(l.Quantile(0.99)), P999: us(l.Quantile(0.999)), Max: us(l.Max())}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	n := len(s) / 2
	if len(s)%2 == 1 {
		return s[n]
	}
	return (s[n-1] + s[n]) / 2
}
