package queue_test

import (
	"fmt"
	"testing"
	"time"

	"usher.internal/core/queue"
)

// key is of the kind that a scheduler builds.
type key struct {
	group, model string
	transport    uint8
}

// full is a line with a waiter each of as many tenants, over overlapping classes.
type full struct {
	line    *queue.Line[key, int]
	waiters []queue.Waiter[int]
	tickets []queue.Ticket[key]
	now     time.Duration
}

const benchAccounts = 100

func fillLine(waiters, classes, tenants int, sets [][]int32) *full {
	f := &full{line: queue.New[key, int](time.Second), waiters: make([]queue.Waiter[int], waiters)}
	for n := range waiters {
		f.waiters[n].Value = n
		f.tickets = append(f.tickets, queue.Ticket[key]{
			Class:    key{group: "group", model: fmt.Sprint("model-", n%classes), transport: 1},
			Accounts: sets[n%classes], Tenant: fmt.Sprint("tenant-", n%tenants), Priority: queue.Priority(n % 3),
		})
	}
	for n := range waiters {
		f.join(n)
	}
	for n := range waiters { // warm
		f.grant(int32(n % benchAccounts))
	}
	return f
}

func (f *full) join(n int) {
	f.now += time.Millisecond
	f.tickets[n].Arrived = f.now
	f.line.Join(&f.waiters[n], f.tickets[n])
}

func (f *full) grant(account int32) {
	if w, ok := f.line.Next(account); ok {
		f.line.Grant(w)
		f.join(w.Value)
	}
}

func perSecond(b *testing.B, what string) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), what)
}

var benchShapes = []struct{ waiters, classes, tenants int }{
	{100, 1, 100},
	{100, 50, 100},
	{5000, 1, 5000},
	{5000, 50, 5000}, // the promised one
	{5000, 500, 5000},
	{5000, 50, 100},
	{5000, 50, 1},
	{50000, 1, 50000},
	{50000, 50, 50000},
	{50000, 500, 50000},
	{50000, 500, 100},
}

func eachShape(b *testing.B, run func(b *testing.B, f *full)) {
	for _, s := range benchShapes {
		b.Run(fmt.Sprintf("waiters=%d/classes=%d/tenants=%d", s.waiters, s.classes, s.tenants), func(b *testing.B) {
			f := fillLine(s.waiters, s.classes, s.tenants, overlapping(s.classes, benchAccounts, max(20, benchAccounts/s.classes)))
			b.ReportAllocs()
			b.ResetTimer()
			run(b, f)
		})
	}
}

// BenchmarkGrant is Next, Grant and the Join of a replacement.
func BenchmarkGrant(b *testing.B) {
	eachShape(b, func(b *testing.B, f *full) {
		for n := range b.N {
			f.grant(int32(n % benchAccounts))
		}
		perSecond(b, "grants/s")
	})
}

// BenchmarkLeaveJoin takes waiters out from everywhere and lets them join again.
func BenchmarkLeaveJoin(b *testing.B) {
	eachShape(b, func(b *testing.B, f *full) {
		for n := range b.N {
			i := n * 7919 % len(f.waiters)
			f.line.Leave(&f.waiters[i])
			f.join(i)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	eachShape(b, func(b *testing.B, f *full) {
		for n := range b.N {
			f.line.Next(int32(n % benchAccounts))
		}
	})
}

func BenchmarkWanted(b *testing.B) {
	eachShape(b, func(b *testing.B, f *full) {
		wanted := 0
		for n := range b.N {
			if f.line.Wanted(int32(n % benchAccounts)) {
				wanted++
			}
		}
		if wanted != b.N {
			b.Errorf("%d of %d are wanted", wanted, b.N)
		}
	})
}

// BenchmarkEach looks at so many waiters, as when the first ones cannot take the account.
func BenchmarkEach(b *testing.B) {
	for _, far := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("far=%d", far), func(b *testing.B) {
			f := fillLine(5000, 50, 5000, overlapping(50, benchAccounts, 20))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				seen := 0
				f.line.Each(int32(n%benchAccounts), func(*queue.Waiter[int]) bool {
					seen++
					return seen < far
				})
			}
		})
	}
}

// BenchmarkFitting grants an account that fits some of the classes; those it does not fit
// have the same waiters.
func BenchmarkFitting(b *testing.B) {
	for _, s := range []struct{ classes, fitting int }{{1, 1}, {50, 1}, {500, 1}, {500, 50}, {500, 500}} {
		b.Run(fmt.Sprintf("classes=%d/fit=%d", s.classes, s.fitting), func(b *testing.B) {
			sets := make([][]int32, s.classes)
			for c := range sets {
				sets[c] = []int32{1}
				if c < s.fitting {
					sets[c] = []int32{0}
				}
			}
			f := fillLine(10*s.classes, s.classes, 10*s.classes, sets)
			b.ReportAllocs()
			for b.Loop() {
				f.grant(0)
			}
			perSecond(b, "grants/s")
		})
	}
}

// BenchmarkOnlyWaiter joins and leaves a class of its own: it pays for the accounts.
func BenchmarkOnlyWaiter(b *testing.B) {
	for _, accounts := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			l := queue.New[key, int](0)
			var w queue.Waiter[int]
			t := queue.Ticket[key]{Accounts: overlapping(1, accounts, accounts)[0]}
			l.Join(&w, t)
			b.ReportAllocs()
			for b.Loop() {
				l.Leave(&w)
				l.Join(&w, t)
			}
		})
	}
}
