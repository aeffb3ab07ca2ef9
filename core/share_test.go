package core_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

const shareEvery = 2*time.Second + 7 // as no other timer

// board is what replicas share of a store in a test.
type board struct {
	// mu guards what follows.
	mu   sync.Mutex
	rows [][]byte
	lost bool
}

// boarded is a store whose replica has a place on a board.
type boarded struct {
	core.Store
	board *board
	place int
}

func (s *boarded) ShareStats(_ context.Context, own []byte, _ time.Duration) (others [][]byte, err error) {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	if s.board.lost {
		return nil, &core.Error{Kind: core.KindStoreUnavailable, Err: errors.New("lost")}
	}
	s.board.rows[s.place] = own
	for place, row := range s.board.rows {
		if place != s.place && len(row) > 0 {
			others = append(others, row)
		}
	}
	return others, nil
}

// armed counts how often an exchange was waited for.
type armed struct {
	*testClock
	times atomic.Int64
}

func (c *armed) After(d time.Duration) (<-chan time.Time, func()) {
	fired, stop := c.testClock.After(d)
	if d == shareEvery {
		c.times.Add(1)
	}
	return fired, stop
}

// sharer is one of several replicas.
type sharer struct {
	*house
	armed *armed
}

// sharers begins replicas that share what they learn; each takes the accounts as it is given them.
func sharers(t *testing.T, policy decide.Policy, accounts ...[]pool.Account) (*board, []*sharer) {
	b := &board{rows: make([][]byte, len(accounts))}
	all := make([]*sharer, len(accounts))
	for i := range all {
		one := &sharer{}
		one.house = newHouse(t, accounts[i], under(func(p *decide.Policy) { *p = policy }),
			over(func(s core.Store) core.Store { return &boarded{s, b, i} }),
			func(h *house, o *core.Options) {
				one.armed = &armed{testClock: h.clock}
				o.Clock, o.ShareStatsEvery = one.armed, shareEvery
			})
		one.waited(1)
		all[i] = one
	}
	return b, all
}

func (s *sharer) waited(times int64) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for s.armed.times.Load() < times {
		select {
		case <-poll.C:
		case <-ctx.Done():
			s.tb.Fatalf("%d exchanges, want %d", s.armed.times.Load(), times)
		}
	}
}

// period lets one period pass for all, after which each has exchanged once more, in this order.
func period(all ...*sharer) {
	for _, s := range all {
		times := s.armed.times.Load()
		s.clock.advance(shareEvery)
		s.waited(times + 1)
	}
}

// learn reports an end on an account.
func (s *sharer) learn(account, model string, outcome core.Outcome, ttft time.Duration) {
	s.tb.Helper()
	token := s.on(core.Request{Model: model}, account)
	s.reports(core.Event{Kind: core.EventFinished, Token: token, Outcome: outcome, TTFT: ttft}, core.EventApplied)
}

func (s *sharer) stat(account string) decide.Stat { return s.account(account).Stat }

func halving() decide.Policy {
	p := decide.Recommended()
	p.Escape, p.HalfLife = decide.Escape{}, time.Hour
	return p
}

// TestFreshReplicaScoresLikeTheOthers: two periods after one has learned, one that has not has the same statistics, ranks and explains by them.
func TestFreshReplicaScoresLikeTheOthers(t *testing.T) {
	for name, policy := range map[string]decide.Policy{"reference": decide.Reference(), "fading": halving()} {
		t.Run(name, func(t *testing.T) {
			policy.TopK = 1
			_, all := sharers(t, policy, plain(3, 9), plain(3, 9))
			a, b := all[0], all[1]
			for range 5 {
				a.learn("a", "", core.OutcomeAccountError, 0)
				a.learn("b", "", core.OutcomeSuccess, 900*time.Millisecond)
				a.learn("c", "", core.OutcomeSuccess, 300*time.Millisecond)
			}
			if b.stat("a") != (decide.Stat{}) {
				t.Error("it is known before it was told")
			}
			period(b, a) // the worst order
			period(b, a)
			for _, id := range []string{"a", "b", "c"} {
				if got, want := b.stat(id), a.stat(id); !alike(got, want) || want == (decide.Stat{}) {
					t.Errorf("%s: a fresh replica has %+v, want %+v", id, got, want)
				}
			}
			b.chooses(core.Request{}, decide.LayerLoadBalance, "c")
			explained, err := b.Explain(b.Decisions(core.DecisionFilter{Limit: 1})[0].Decision.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range explained.Record.Decision.Verdicts {
				if want := a.stat(v.Account.ID); !alike(v.Stat, want) {
					t.Errorf("%s is explained by %+v, want %+v", v.Account.ID, v.Stat, want)
				}
			}
		})
	}
}

// alike compares but for what an exchange's rounding and the seconds between two do.
func alike(a, b decide.Stat) bool {
	near := func(a, b float64) bool { return math.Abs(a-b) <= 5e-3*max(math.Abs(a), math.Abs(b)) }
	return a.HasTTFT == b.HasTTFT && near(a.ErrorRate, b.ErrorRate) && near(a.TTFT, b.TTFT) &&
		near(float64(a.ErrorWeight), float64(b.ErrorWeight)) && near(float64(a.TTFTWeight), float64(b.TTFTWeight))
}

// TestReplicasMergeTheSame: three that learned different things come to one value, and what comes later is in it.
func TestReplicasMergeTheSame(t *testing.T) {
	_, all := sharers(t, halving(), plain(2, 9), plain(2, 9), plain(2, 9))
	all[0].learn("a", "", core.OutcomeAccountError, 0)
	all[1].learn("a", "", core.OutcomeSuccess, 100*time.Millisecond)
	all[2].learn("a", "", core.OutcomeSuccess, 500*time.Millisecond)
	period(all...)
	period(all...)
	want := decide.Stat{ErrorRate: 1.0 / 3, ErrorWeight: 0.2, TTFT: 300, TTFTWeight: 0.2, HasTTFT: true}
	for i, s := range all {
		if got := s.stat("a"); !alike(got, want) {
			t.Errorf("replica %d has %+v, want %+v", i, got, want)
		}
		if got := s.stat("b"); got != (decide.Stat{}) {
			t.Errorf("replica %d has %+v of what nobody learned", i, got)
		}
	}
	before := all[0].stat("a").ErrorRate
	all[0].learn("a", "", core.OutcomeAccountError, 0)
	if got := all[0].stat("a").ErrorRate; got <= before {
		t.Errorf("what it learned itself counts at once: %v after %v", got, before)
	}
}

// TestSharingGoesById: replicas number accounts as they come to know them, and know different ones.
func TestSharingGoesById(t *testing.T) {
	accounts := plain(4, 9)
	turned := slices.Clone(accounts[1:])
	slices.Reverse(turned)
	_, all := sharers(t, decide.Reference(), accounts, turned[:2])
	a, b := all[0], all[1]
	a.learn("a", "", core.OutcomeAccountError, 0)
	a.learn("b", "", core.OutcomeSuccess, 200*time.Millisecond)
	a.learn("d", "", core.OutcomeSuccess, 400*time.Millisecond)
	period(a, b)
	if c, d := b.stat("c"), b.stat("d"); c != (decide.Stat{}) || d.TTFT != 400 {
		t.Errorf("c %+v, d %+v", c, d)
	}
	// One that is added has at once what was heard of it.
	b.apply(turned...)
	if got := b.stat("b"); got.TTFT != 200 {
		t.Errorf("b %+v", got)
	}
	if _, err := b.Select(t.Context(), &core.Request{}); err != nil {
		t.Error(err)
	}
}

func TestSharingPerModel(t *testing.T) {
	policy := halving()
	policy.TTFTPerModel, policy.TopK = true, 1
	_, all := sharers(t, policy, plain(2, 9), plain(2, 9))
	a, b := all[0], all[1]
	a.learn("a", "fast", core.OutcomeSuccess, 100*time.Millisecond)
	a.learn("b", "fast", core.OutcomeSuccess, 300*time.Millisecond)
	a.learn("a", "slow", core.OutcomeSuccess, 900*time.Millisecond)
	a.learn("b", "slow", core.OutcomeSuccess, 600*time.Millisecond)
	period(a, b)
	for model, want := range map[string]string{"fast": "a", "slow": "b"} {
		b.release(b.chooses(core.Request{Model: model}, decide.LayerLoadBalance, want).Token)
	}
}

// TestSharingIsOfBoundedAge: when nothing is heard any more, what was heard counts for five periods and then no more.
func TestSharingIsOfBoundedAge(t *testing.T) {
	board, all := sharers(t, halving(), plain(1, 9), plain(1, 9))
	a, b := all[0], all[1]
	a.learn("a", "", core.OutcomeAccountError, 0)
	period(a, b)
	lose := func(lost bool) {
		board.mu.Lock()
		defer board.mu.Unlock()
		board.lost = lost
	}
	lose(true)
	for range 4 {
		period(b)
	}
	if b.stat("a") == (decide.Stat{}) {
		t.Error("four periods later nothing is left")
	}
	period(b)
	if got := b.stat("a"); got != (decide.Stat{}) {
		t.Errorf("five periods later there is %+v", got)
	}
	lose(false)
	period(b)
	if b.stat("a") == (decide.Stat{}) {
		t.Error("it is not heard again")
	}
	// One that puts nonsense is passed over.
	board.mu.Lock()
	board.rows[0] = []byte("nonsense")
	board.mu.Unlock()
	period(b)
	if got := b.stat("a"); got != (decide.Stat{}) {
		t.Errorf("from nonsense it has %+v", got)
	}
}

// TestWithoutSharingNothingIsTold: a scheduler does not share unless it is told to.
func TestWithoutSharingNothingIsTold(t *testing.T) {
	b := &board{rows: [][]byte{nil, []byte("theirs")}}
	h := newHouse(t, plain(1, 9), over(func(s core.Store) core.Store { return &boarded{s, b, 0} }))
	s := &sharer{house: h}
	s.learn("a", "", core.OutcomeAccountError, 0)
	h.clock.advance(time.Minute)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rows[0] != nil {
		t.Errorf("it told %q", b.rows[0])
	}
}
