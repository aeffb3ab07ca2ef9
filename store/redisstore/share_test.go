package redisstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/storetest"
	"usher.internal/store/storetest/redistest"
)

const shareEvery = 2*time.Second + 7 // as no other timer

// armed counts how often an exchange was waited for.
type armed struct {
	*storetest.Clock
	times atomic.Int64
}

func (c *armed) After(d time.Duration) (<-chan time.Time, func()) {
	fired, stop := c.Clock.After(d)
	if d == shareEvery {
		c.times.Add(1)
	}
	return fired, stop
}

// TestFreshReplicaScoresLikeTheOthers: two periods after one replica has learned, another has the same statistics, and chooses by them.
func TestFreshReplicaScoresLikeTheOthers(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		clock := &armed{Clock: storetest.NewClock()}
		opts := core.Options{Clock: clock, ShareStatsEvery: shareEvery}
		a, b := replicaWith(t, server, opts, 9, 9), replicaWith(t, server, opts, 9, 9)
		until(t, "both have exchanged", func() bool { return clock.times.Load() >= 2 })
		for range 6 {
			one, two := core.Request{Excluded: []string{"a1"}}, core.Request{Excluded: []string{"a0"}}
			finish(t, a, taken(t, a, one).Token, core.OutcomeAccountError)
			finish(t, a, taken(t, a, two).Token, core.OutcomeSuccess)
		}
		for range 2 {
			before := clock.times.Load()
			clock.Advance(shareEvery)
			until(t, "both have exchanged again", func() bool { return clock.times.Load() >= before+2 })
		}
		got, want := learnedBy(t, b), learnedBy(t, a)
		for i := range want {
			if d := got[i].ErrorWeight - want[i].ErrorWeight; got[i].ErrorRate != want[i].ErrorRate || d*d > 1e-4 || want[i].ErrorWeight == 0 {
				t.Errorf("account %d: a fresh replica has %+v, want %+v", i, got[i], want[i])
			}
		}
		if want[0].ErrorRate <= want[1].ErrorRate {
			t.Errorf("learned was %+v", want)
		}
		ctx, dry := context.Background(), core.Request{DryRun: true, Explain: true}
		answer, err := b.Select(ctx, &dry)
		must(t, err)
		for _, v := range answer.Decision.Verdicts {
			if v.Stat != got[v.Account.Ordinal] {
				t.Errorf("%s is scored by %+v, shown is %+v", v.Account.ID, v.Stat, got[v.Account.Ordinal])
			}
		}
	})
}

// learnedBy gives the statistics that a replica decides by, by ordinal.
func learnedBy(t *testing.T, s *core.Scheduler) (all []decide.Stat) {
	t.Helper()
	snapshot, err := s.Snapshot(context.Background())
	must(t, err)
	for i := range snapshot.Accounts {
		all = append(all, snapshot.Accounts[i].Stat)
	}
	return all
}

// BenchmarkShareStats is one replica's exchange with nine others, of what is told of so many accounts.
func BenchmarkShareStats(b *testing.B) {
	if !redistest.Available() {
		return
	}
	redis := redistest.Single(b)
	server := single("unix://" + redis.Socket())
	for _, accounts := range []int{100, 1000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			ctx, told := b.Context(), make([]byte, 38*accounts)
			opts := Options{Server: server, Namespace: drawName(), Budget: 5 * time.Second}
			for range 9 {
				_, err := open(b, opts).ShareStats(ctx, told, time.Hour)
				must(b, err)
			}
			s := open(b, opts)
			b.ReportAllocs()
			defer serverTime(b, redis)()
			for b.Loop() {
				if others, err := s.ShareStats(ctx, told, time.Hour); err != nil || len(others) != 9 {
					b.Fatal(len(others), err)
				}
			}
		})
	}
}
