package decide

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"usher.internal/core/pool"
)

// randomInput has few distinct values, so that ties are common, and faults of every kind.
func randomInput(t *testing.T, rng *rand.Rand) *Input {
	n := rng.IntN(90)
	accounts := make([]pool.Account, n)
	for i, id := range rng.Perm(n) {
		accounts[i] = randomAccount(rng, id, i)
	}
	set, err := pool.NewSet(accounts)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{
		Group: []string{"", "g", "h", "none"}[rng.IntN(4)], Model: []string{"", "m", "x"}[rng.IntN(3)],
		Transport: pool.Transport(rng.IntN(5)), Provider: []string{"", "p"}[rng.IntN(2)],
	}
	for range rng.IntN(6) {
		r.Excluded = append(r.Excluded, []string{"", "nobody", fmt.Sprint(rng.IntN(n + 1))}[rng.IntN(3)])
	}
	p := Reference()
	p.TopK = rng.IntN(100) - 1
	in := &Input{View: set.View(r.Query()), Request: r, Policy: &p, Now: now}
	for i := range in.View.Len() {
		l := Load{InUse: int32(rng.IntN(4)), Waiting: int32(rng.IntN(3))}
		l.Rate = LoadRate(l.InUse, l.Waiting, in.View.Rows()[i].Limit)
		s := Stat{ErrorRate: float64(rng.IntN(2)) / 4, HasTTFT: rng.IntN(2) == 0}
		if s.HasTTFT {
			s.TTFT = float64(100 * rng.IntN(3))
		}
		s.ErrorWeight, s.TTFTWeight = float32(rng.IntN(3))/2, float32(rng.IntN(3))/2
		in.Loads, in.Stats = append(in.Loads, l), append(in.Stats, s)
		in.Colds = append(in.Colds, randomCold(rng))
	}
	p.HalfLife, p.HalfOpen = time.Duration(rng.IntN(2))*time.Minute, rng.IntN(2) == 0
	if rng.IntN(3) == 0 {
		in.Colds = nil
	}
	return in
}

func randomAccount(rng *rand.Rand, id, ordinal int) pool.Account {
	times := []time.Time{{}, {}, {}, {}, now.Add(-1), now, now.Add(1)}
	at := func() time.Time { return times[rng.IntN(len(times))] }
	a := pool.Account{
		ID: fmt.Sprint(id), Ordinal: ordinal, Priority: rng.IntN(2), MaxConcurrency: rng.IntN(4),
		Provider: []string{"p", "p", "q"}[rng.IntN(3)], Groups: []string{[]string{"g", "h"}[rng.IntN(2)]},
		Transports: pool.Transports(rng.IntN(16)) &^ 1,
	}
	if rng.IntN(2) == 0 {
		return a
	}
	a.State, a.Status = pool.State(max(0, rng.IntN(10)-6)), pool.Status(max(0, rng.IntN(10)-6))
	a.Unschedulable, a.AutoPauseOnExpired = rng.IntN(8) == 0, rng.IntN(2) == 0
	a.TempUnschedulableUntil, a.RateLimitedUntil = at(), at()
	a.OverloadedUntil, a.ExpiresAt = at(), at()
	if rng.IntN(3) == 0 {
		a.Models = pool.NewModels(map[string]string{"m": "up"})
	}
	if rng.IntN(3) == 0 {
		a.ModelLimits = map[string]time.Time{"up": at(), "x": at()}
	}
	return a
}

func coldOf(in *Input, a *pool.Account) *Cold {
	for i := range in.Colds {
		if in.View.Account(i) == a {
			return in.Colds[i]
		}
	}
	return nil
}

func randomCold(rng *rand.Rand) *Cold {
	var c *Cold
	for range rng.IntN(4) {
		at := now.Add(time.Duration(rng.IntN(5) - 2))
		switch rng.IntN(8) {
		case 0:
			c = c.RefusedAuth()
		case 1:
			c = c.Cleared([]string{"", "m"}[rng.IntN(2)])
		case 2:
			c = c.Succeeded([]string{"", "m"}[rng.IntN(2)], at)
		default:
			c = c.Cooled([]string{"", "m", "up", "x"}[rng.IntN(4)], at, []Reason{Overloaded, RateLimited, QuotaExhausted}[rng.IntN(3)])
		}
	}
	return c
}

// oracle ranks by sorting verdicts that are computed from the definitions.
func oracle(in *Input) (ranked []Candidate, fit int) {
	f := in.Request.Fitness(LayerLoadBalance, in.Policy)
	for _, a := range in.View.Set().Members(in.Request.Group) {
		if r, _ := Eligible(a, coldOf(in, a), &f, in.Now); r == None {
			fit++
		}
	}
	s := newSpread()
	s.fading = in.Policy.HalfLife > 0
	var rows []int
	for i := range in.View.Len() {
		if r, _ := Eligible(in.View.Account(i), coldOf(in, in.View.Account(i)), &f, in.Now); r == None {
			rows = append(rows, i)
			s.add(in.View.Account(i).Priority, &in.Loads[i], &in.Stats[i])
			s.weigh(&in.Stats[i])
		}
	}
	s.close()
	for _, i := range rows {
		a := in.View.Account(i)
		factors := s.factors(a.Priority, &in.Loads[i], &in.Stats[i])
		ranked = append(ranked, Candidate{
			Score: factors.Score(&in.Policy.Weights), LoadRate: in.Loads[i].Rate, Priority: a.Priority,
			Row: int32(i), Ordinal: int32(a.Ordinal), Waiting: in.Loads[i].Waiting, idRank: in.View.Rows()[i].IDRank,
		})
	}
	slices.SortStableFunc(ranked, func(x, y Candidate) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.Priority, y.Priority),
			cmp.Compare(x.LoadRate, y.LoadRate), cmp.Compare(x.Waiting, y.Waiting),
			pool.CompareIDs(in.View.Account(int(x.Row)).ID, in.View.Account(int(y.Row)).ID))
	})
	return ranked, fit
}

func TestRankAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var w Workspace // one for all: nothing of an earlier input may show
	for range 3000 {
		in := randomInput(t, rng)
		ranked, fit := oracle(in)
		w.Rank(in)
		k := in.Policy.Limit(len(ranked))
		if w.CandidateCount() != len(ranked) || fit != len(ranked) || w.TopK() != k {
			t.Fatalf("%d candidates, top %d; want %d, %d, top %d", w.CandidateCount(), w.TopK(), len(ranked), fit, k)
		}
		if !slices.Equal(w.Top(), ranked[:k]) {
			t.Fatalf("top\n%+v, want\n%+v", w.Top(), ranked[:k])
		}
		checkRest(t, &w, in, ranked[k:], rng.IntN(40))
		checkDraw(t, &w, rng.Uint64())
		checkExplain(t, &w, in, ranked)
	}
}

func checkRest(t *testing.T, w *Workspace, in *Input, others []Candidate, most int) {
	t.Helper()
	var want []Candidate
	for _, c := range others {
		limit := in.View.Account(int(c.Row)).MaxConcurrency
		if limit <= 0 || int(in.Loads[c.Row].InUse) < limit {
			want = append(want, c)
		}
	}
	if got := w.Rest(nil, 0); !slices.Equal(got, want) {
		t.Fatalf("rest\n%+v, want\n%+v", got, want)
	}
	if most > 0 {
		want = want[:min(most, len(want))]
	}
	if got := w.Rest(in.Loads, most); !slices.Equal(got, want) {
		t.Fatalf("the first %d of the rest\n%+v, want\n%+v", most, got, want)
	}
	full := make([]Load, len(in.Loads))
	for i := range full {
		full[i].InUse = math.MaxInt32
	}
	for _, c := range w.Rest(full, 0) {
		if in.View.Rows()[c.Row].Limit > 0 {
			t.Fatal("a full account is in the rest")
		}
	}
}

// checkDraw compares with drawing from a list that shrinks, as the format describes it.
func checkDraw(t *testing.T, w *Workspace, seed uint64) {
	t.Helper()
	left := slices.Clone(w.Top())
	var want []Candidate
	g := NewGenerator(seed)
	weight := map[int32]float64{}
	for _, c := range left {
		weight[c.Row] = (c.Score - left[len(left)-1].Score) + 1
	}
	for len(left) > 1 {
		total, sum := 0.0, 0.0
		for _, c := range left {
			total += weight[c.Row]
		}
		x := g.Float64() * total
		i := slices.IndexFunc(left, func(c Candidate) bool {
			sum += weight[c.Row]
			return sum >= x
		})
		want = append(want, left[i])
		left = slices.Delete(left, i, i+1)
	}
	want = append(want, left...)
	if got := w.Draw(seed); !slices.Equal(got, want) {
		t.Fatalf("drawn\n%+v, want\n%+v", got, want)
	}
}

func checkExplain(t *testing.T, w *Workspace, in *Input, ranked []Candidate) {
	t.Helper()
	drawn := w.Draw(7)
	verdicts := Explain(in, drawn)
	members := in.View.Set().Members(in.Request.Group)
	counts, next := CountReasons(in)
	f := in.Request.Fitness(LayerLoadBalance, in.Policy)
	var earliest *time.Time
	var again Counts
	for i, v := range verdicts {
		if v.Account != members[i] {
			t.Fatal("not in listing order")
		}
		again[v.Reason]++
		if v.Reason != None {
			if v.Rank != 0 || v.Drawn != 0 {
				t.Fatalf("an excluded account has a rank: %+v", v)
			}
			if at, ok := NextEligible(v.Account, coldOf(in, v.Account), &f, now); ok && (earliest == nil || at.Before(*earliest)) {
				earliest = &at
			}
			continue
		}
		c := ranked[v.Rank-1]
		if in.View.Account(int(c.Row)) != v.Account ||
			math.Float64bits(v.Factors.Score(&in.Policy.Weights)) != math.Float64bits(c.Score) || v.Score != c.Score {
			t.Fatalf("verdict %+v for candidate %+v", v, c)
		}
		if place := slices.IndexFunc(drawn, func(d Candidate) bool { return d.Row == c.Row }); place+1 != v.Drawn {
			t.Fatalf("drawn %d, want %d", v.Drawn, place+1)
		}
	}
	if again != counts || counts.Of(None) != len(ranked) {
		t.Fatalf("counts %v, want %v", counts, again)
	}
	if (next == nil) != (earliest == nil) || next != nil && !next.Equal(*earliest) {
		t.Fatalf("next %v, want %v", next, earliest)
	}
}

func TestRankWithoutLoads(t *testing.T) {
	in := benchInput(t, 20)
	loads := make([]Load, 20)
	var a, b Workspace
	in.Loads = nil
	a.Rank(in)
	in.Loads, in.Stats = loads, make([]Stat, 20)
	b.Rank(in)
	in.Stats = nil
	a.Rank(in)
	if !slices.Equal(a.Top(), b.Top()) || a.Skew() != 0 {
		t.Errorf("%+v, want %+v", a.Top(), b.Top())
	}
	a.Reset()
	if a.Rest(nil, 0) != nil || len(a.Draw(1)) != 0 {
		t.Error("something is left after Reset")
	}
	if a.in.View != nil || a.CandidateCount() != 0 || a.TopK() != 0 {
		t.Error("Reset keeps the input")
	}
}

func TestRankAllocatesNothing(t *testing.T) {
	in := benchInput(t, 200)
	in.Request.Excluded = []string{"acct-3", "", "nobody"}
	for _, k := range []int{7, 100} {
		in.Policy.TopK = k
		var w Workspace
		seed := uint64(0)
		run := func() {
			w.Rank(in)
			w.Draw(seed)
			w.Rest(in.Loads, 10)
			w.Rest(nil, 0)
			seed++
		}
		run()
		if n := testing.AllocsPerRun(50, run); n != 0 {
			t.Errorf("top %d: %v allocations", k, n)
		}
	}
}

func TestMarksComeRound(t *testing.T) {
	in := benchInput(t, 8)
	in.Request.Excluded = []string{"acct-1"}
	w := Workspace{marks: make([]uint32, 8), mark: math.MaxUint32}
	for range 3 {
		w.Rank(in)
		if w.CandidateCount() != 7 {
			t.Fatalf("%d candidates", w.CandidateCount())
		}
	}
}
