package decide_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/internal/conformance"
	"usher.internal/core/pool"
)

const testdata = "../internal/conformance/testdata"

func TestConformance(t *testing.T) {
	checks := map[string]func(dir, file string) (*conformance.Report, error){
		"score": func(dir, file string) (*conformance.Report, error) { return conformance.Run(dir, file, checkScore) },
		"order": func(dir, file string) (*conformance.Report, error) { return conformance.Run(dir, file, checkOrder) },
		"ewma":  func(dir, file string) (*conformance.Report, error) { return conformance.Run(dir, file, checkEWMA) },
	}
	dir, files, err := conformance.Choose(testdata, "score", "order", "ewma")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		r, err := checks[file](dir, file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(r)
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	}
}

func scoreInput(t testing.TB, c *conformance.ScoreCase) *decide.Input {
	accounts := make([]pool.Account, len(c.Accounts))
	in := &decide.Input{Request: &decide.Request{}, Now: time.Unix(0, 0)}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		accounts[i] = pool.Account{ID: a.ID, Priority: a.Priority, MaxConcurrency: a.MaxConcurrency, Ordinal: i}
		in.Loads, in.Stats = append(in.Loads, a.Load()), append(in.Stats, a.Stat())
	}
	set, err := pool.NewSet(accounts)
	if err != nil {
		t.Fatal(err)
	}
	in.View = set.View(pool.Query{})
	p := decide.Reference()
	p.Weights, p.TopK = c.Weights.Decide(), c.TopK
	in.Policy = &p
	return in
}

func checkScore(c *conformance.ScoreCase) (out conformance.Outcome) {
	in := scoreInput(panicking{}, c)
	var w decide.Workspace
	w.Rank(in)
	add := func(d ...string) { out.Differences = append(out.Differences, d...) }
	if w.CandidateCount() != len(c.Accounts) || w.TopK() != c.Expected.TopK {
		add(fmt.Sprintf("want %d candidates and top %d, got %d and %d",
			len(c.Accounts), c.Expected.TopK, w.CandidateCount(), w.TopK()))
		return out
	}
	add(conformance.DiffBits("load_skew", c.Expected.LoadSkew, w.Skew())...)
	verdicts := decide.Explain(in, nil)
	for i, e := range c.Expected.Scores {
		v := verdicts[i]
		name := "account " + e.ID
		add(conformance.DiffBits(name, e.Score, v.Score)...)
		add(conformance.DiffBits(name+" verdict", e.Score, v.Factors.Score(&in.Policy.Weights))...)
		add(conformance.DiffBits(name+" rate", conformance.Exact(e.LoadRate), v.Load.Rate)...)
	}
	top := make([]string, len(w.Top()))
	for i, x := range w.Top() {
		top[i] = c.Accounts[x.Row].ID
	}
	add(conformance.DiffOrder("top_ids", c.Expected.TopIDs, top)...)
	return out
}

func checkOrder(c *conformance.OrderCase) (out conformance.Outcome) {
	if c.Has("non_finite") {
		return conformance.Outcome{Skip: "non_finite"}
	}
	add := func(d ...string) { out.Differences = append(out.Differences, d...) }
	seed := decide.Seed(c.Anchor.Decide(), 12345)
	if seed != c.Expected.Seed {
		add(fmt.Sprintf("seed: want %d, got %d", c.Expected.Seed, seed))
	}
	g := decide.NewGenerator(seed)
	for i, f := range c.Expected.Floats {
		add(conformance.DiffBits(fmt.Sprintf("draw %d", i), f, g.Float64())...)
	}
	scores := make([]float64, len(c.Candidates))
	for i, x := range c.Candidates {
		scores[i] = x.Score.Value
	}
	var order []string
	for _, i := range decide.DrawScores(scores, seed) {
		order = append(order, c.Candidates[i].ID)
	}
	add(conformance.DiffOrder("order", c.Expected.Order, order)...)
	return out
}

func checkEWMA(c *conformance.EWMACase) (out conformance.Outcome) {
	if len(c.Reports) != len(c.Expected) {
		return conformance.Outcome{Differences: []string{"reports and expectations differ in number"}}
	}
	var s decide.Stat
	for i := range c.Reports {
		r := &c.Reports[i]
		s = s.Observe(!r.Success, r.TTFT(), decide.Reference().Alpha)
		for _, d := range conformance.DiffStat(c.Expected[i], conformance.NewStatEntry("", s)) {
			out.Differences = append(out.Differences, fmt.Sprintf("after report %d: %s", i, d))
		}
	}
	return out
}

// TestConformanceNotices shows that a single changed expectation is found.
func TestConformanceNotices(t *testing.T) {
	flip := func(b *conformance.Bits) {
		*b = conformance.Exact(math.Float64frombits(math.Float64bits(b.Value) ^ 1))
	}
	swap := func(ids []string) { ids[0], ids[1] = ids[1], ids[0] }
	score := map[string]func(*conformance.ScoreCase){
		"score":  func(c *conformance.ScoreCase) { flip(&c.Expected.Scores[0].Score) },
		"skew":   func(c *conformance.ScoreCase) { flip(&c.Expected.LoadSkew) },
		"top":    func(c *conformance.ScoreCase) { swap(c.Expected.TopIDs) },
		"number": func(c *conformance.ScoreCase) { c.Expected.TopK++ },
	}
	for name, change := range score {
		notices(t, "score "+name, "score", func(c *conformance.ScoreCase) bool { return c.Expected.TopK > 1 }, change, checkScore)
	}
	order := map[string]func(*conformance.OrderCase){
		"order": func(c *conformance.OrderCase) { swap(c.Expected.Order) },
		"seed":  func(c *conformance.OrderCase) { c.Expected.Seed ^= 1 },
		"draw":  func(c *conformance.OrderCase) { flip(&c.Expected.Floats[4]) },
	}
	for name, change := range order {
		notices(t, "order "+name, "order", func(c *conformance.OrderCase) bool {
			return len(c.Expected.Order) > 1 && !c.Has("non_finite")
		}, change, checkOrder)
	}
	ewma := map[string]func(*conformance.EWMACase){
		"rate": func(c *conformance.EWMACase) { flip(&c.Expected[len(c.Expected)-1].ErrorRate) },
		"ttft": func(c *conformance.EWMACase) { flip(&c.Expected[len(c.Expected)-1].TTFT) },
	}
	for name, change := range ewma {
		notices(t, "ewma "+name, "ewma", func(c *conformance.EWMACase) bool {
			return slices.ContainsFunc(c.Expected, func(e conformance.StatEntry) bool { return e.HasTTFT })
		}, change, checkEWMA)
	}
}

// notices runs the file with one fitting record changed and expects exactly that one to differ.
func notices[T any, P interface {
	*T
	Record() int
}](t *testing.T, name, file string, fits func(*T) bool, change func(*T), check func(*T) conformance.Outcome) {
	t.Run(name, func(t *testing.T) {
		changed := -1
		r, err := conformance.Run[T, P](testdata, file, func(c *T) conformance.Outcome {
			if changed < 0 && fits(c) {
				changed = P(c).Record()
				change(c)
			}
			return check(c)
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Err() == nil || r.Matched+r.SkippedTotal() != r.Total-1 {
			t.Fatalf("the change was not noticed: %s", r)
		}
		if want := fmt.Sprintf("record %d:", changed); !strings.HasPrefix(r.Differences[0], want) {
			t.Errorf("first difference is %q, want %q", r.Differences[0], want)
		}
	})
}

// panicking stands in for a test where only a broken record can fail.
type panicking struct{ testing.TB }

func (panicking) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
