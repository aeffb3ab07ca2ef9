package decide

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"usher.internal/core/pool"
)

// benchInput gives n quiet accounts with loads and samples of every kind.
func benchInput(tb testing.TB, n int) *Input {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	accounts := make([]pool.Account, n)
	in := &Input{Request: &Request{SessionHash: "s"}, Now: time.Unix(1e9, 0)}
	for i := range accounts {
		accounts[i] = pool.Account{
			ID: fmt.Sprint("acct-", i), Ordinal: i, Priority: rng.IntN(4) * 10, MaxConcurrency: 1 + rng.IntN(40),
		}
		l := Load{InUse: int32(rng.IntN(10)), Waiting: int32(max(0, rng.IntN(6)-3))}
		l.Rate = LoadRate(l.InUse, l.Waiting, accounts[i].Limit())
		s := Stat{ErrorRate: rng.Float64() * 0.1}
		if i%8 != 0 {
			s.TTFT, s.HasTTFT = 100+1000*rng.Float64(), true
		}
		in.Loads, in.Stats = append(in.Loads, l), append(in.Stats, s)
	}
	set, err := pool.NewSet(accounts)
	if err != nil {
		tb.Fatal(err)
	}
	in.View = set.View(pool.Query{})
	p := Reference()
	in.Policy = &p
	return in
}

var benchSizes = []int{1, 16, 64, 256, 1024, 10000}

func BenchmarkRank(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			in := benchInput(b, n)
			benchRank(b, in, n)
		})
	}
}

// BenchmarkRankExcluded excludes four accounts.
func BenchmarkRankExcluded(b *testing.B) {
	for _, n := range []int{16, 256, 10000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			in := benchInput(b, n)
			for i := range 4 {
				in.Request.Excluded = append(in.Request.Excluded, fmt.Sprint("acct-", i*3))
			}
			benchRank(b, in, n)
		})
	}
}

// BenchmarkRankDeadlines gives every account a rate limit that has passed.
func BenchmarkRankDeadlines(b *testing.B) {
	for _, n := range []int{16, 256, 10000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			in := benchInput(b, n)
			accounts := make([]pool.Account, n)
			for i := range accounts {
				accounts[i] = *in.View.Account(i)
				accounts[i].RateLimitedUntil = in.Now
			}
			set, err := pool.NewSet(accounts)
			if err != nil {
				b.Fatal(err)
			}
			in.View = set.View(pool.Query{})
			benchRank(b, in, n)
		})
	}
}

func benchRank(b *testing.B, in *Input, n int) {
	var w Workspace
	w.Rank(in)
	w.Draw(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Rank(in)
		w.Draw(uint64(i))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
}

func BenchmarkRest(b *testing.B) {
	for _, most := range []int{16, 0} {
		b.Run(fmt.Sprintf("n=256/most=%d", most), func(b *testing.B) {
			in := benchInput(b, 256)
			var w Workspace
			w.Rank(in)
			w.Rest(nil, most)
			b.ReportAllocs()
			for b.Loop() {
				w.Rest(nil, most)
			}
		})
	}
}

// BenchmarkRankCold cools every eighth account, half of them on another model only.
func BenchmarkRankCold(b *testing.B) {
	for _, n := range []int{16, 256, 10000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			in := benchInput(b, n)
			in.Colds = make([]*Cold, n)
			for i := 0; i < n; i += 8 {
				in.Colds[i] = in.Colds[i].Cooled([]string{"", "other"}[i/8%2], in.Now.Add(time.Minute), RateLimited)
			}
			benchRank(b, in, n)
		})
	}
}

// BenchmarkRankFading is BenchmarkRank under a policy with a half-life.
func BenchmarkRankFading(b *testing.B) {
	for _, n := range []int{16, 256, 10000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			in := benchInput(b, n)
			p := Recommended()
			in.Policy = &p
			for i := range in.Stats {
				in.Stats[i].ErrorWeight, in.Stats[i].TTFTWeight = float32(i%5)/4, float32(i%3)/2
			}
			benchRank(b, in, n)
		})
	}
}

func BenchmarkFade(b *testing.B) {
	f := halfLife(10 * time.Minute)
	s := Stat{ErrorRate: 0.1, TTFT: 100, ErrorWeight: 1, TTFTWeight: 1, HasTTFT: true}
	var sink Stat
	for i := 0; b.Loop(); i++ {
		sink = s
		f.Fade(&sink, time.Duration(i%1000)*time.Second)
	}
	_ = sink
}

func BenchmarkEscapes(b *testing.B) {
	in := benchInput(b, 256)
	p := Recommended()
	for i := range in.Stats {
		in.Stats[i].TTFTWeight = 1
	}
	for i := 0; b.Loop(); i++ {
		Escapes(in.Stats[i%256], in.Stats, &p)
	}
}
