package queue_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"usher.internal/core/queue"
)

type (
	line   = queue.Line[string, string]
	waiter = queue.Waiter[string]
	ticket = queue.Ticket[string]
)

func join(l *line, name string, t ticket) *waiter {
	w := &waiter{Value: name}
	l.Join(w, t)
	return w
}

// served grants the account's next until nobody is, and gives their names.
func served(l *line, account int32, most int) []string {
	var names []string
	for len(names) < most {
		w, ok := l.Next(account)
		if !ok {
			break
		}
		l.Grant(w)
		names = append(names, w.Value)
	}
	return names
}

func expect(t *testing.T, l *line, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

func TestZeroValuesAndStrangers(t *testing.T) {
	l := queue.New[string, string](0)
	var w waiter
	if l.Leave(&w) || l.Grant(&w) || l.Place(&w) != 0 || w.Waiting() || l.SetAccounts("x", nil) {
		t.Error("a waiter outside the line has an effect")
	}
	for _, account := range []int32{-1, 0, 1 << 30, math.MinInt32} {
		if _, ok := l.Next(account); ok || l.Wanted(account) {
			t.Errorf("account %d is wanted by nobody", account)
		}
		l.Each(account, func(*waiter) bool { t.Error("nobody waits"); return true })
	}
	if l.Return(&w, ticket{Accounts: []int32{3, -1, 3, 0, -7}}) != 1 || !l.Wanted(0) || l.Wanted(1) || !l.Wanted(3) {
		t.Error("a zero ticket joins, repeats and negatives are ignored")
	}
	if l.Join(&w, ticket{Class: "other"}) != 1 || l.WaitingIn("other") != 0 || l.Len() != 1 {
		t.Error("joining twice moves the waiter")
	}
	if !l.Leave(&w) || l.Leave(&w) || l.Dump() != "" {
		t.Error("leave is once")
	}
}

func TestPriorityAndAging(t *testing.T) {
	cases := []struct {
		name  string
		aging time.Duration
		want  []string
	}{
		{"strict at 0", 0, []string{"high 0", "high 20", "normal 5", "low 0", "low 1"}},
		{"strict below 0", -1, []string{"high 0", "high 20", "normal 5", "low 0", "low 1"}},
		{"longer than anybody waits", math.MaxInt64, []string{"high 0", "high 20", "normal 5", "low 0", "low 1"}},
		{"low 0 joined before and ties with high 20", 10, []string{"high 0", "normal 5", "low 0", "high 20", "low 1"}},
		{"short", 1, []string{"high 0", "low 0", "low 1", "normal 5", "high 20"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := queue.New[string, string](c.aging)
			for _, w := range []struct {
				name     string
				priority queue.Priority
				arrived  time.Duration
			}{
				{"low 0", queue.Low, 0},
				{"high 0", queue.High, 0},
				{"low 1", -100, 1},
				{"normal 5", queue.Normal, 5},
				{"high 20", 100, 20},
			} {
				join(l, w.name, ticket{Accounts: []int32{0}, Priority: w.priority, Arrived: w.arrived})
			}
			expect(t, l, served(l, 0, 9), c.want...)
		})
	}
}

func TestExtremeArrivals(t *testing.T) {
	l := queue.New[string, string](math.MaxInt64)
	for _, p := range []queue.Priority{queue.Low, queue.Normal, queue.High} {
		join(l, fmt.Sprint("late ", p), ticket{Accounts: []int32{0}, Priority: p, Arrived: math.MaxInt64})
		join(l, fmt.Sprint("early ", p), ticket{Accounts: []int32{0}, Priority: p, Arrived: math.MinInt64})
	}
	expect(t, l, served(l, 0, 9), "early 1", "late 1", "early 0", "late 0", "early -1", "late -1")
}

func TestArrivalsOutOfOrder(t *testing.T) {
	l := queue.New[string, string](0)
	for _, at := range []time.Duration{50, 10, 30, 20, 40, 10, 60} {
		join(l, fmt.Sprint(at.Nanoseconds()), ticket{Accounts: []int32{0}, Arrived: at})
	}
	expect(t, l, served(l, 0, 9), "10", "10", "20", "30", "40", "50", "60")
}

func TestSetAccounts(t *testing.T) {
	l := queue.New[string, string](0)
	join(l, "a", ticket{Class: "x", Accounts: []int32{0, 1}})
	join(l, "b", ticket{Class: "y", Accounts: []int32{1, 2}, Tenant: "b"})
	join(l, "c", ticket{Class: "z", Accounts: []int32{2}, Tenant: "c"})
	var seen []string
	for class, accounts := range l.Classes() {
		seen = append(seen, fmt.Sprint(class, accounts))
		l.SetAccounts(class, append(slices.Clone(accounts), 5))
	}
	expect(t, l, seen, "x[0 1]", "y[1 2]", "z[2]")
	for range l.Classes() {
		break
	}
	l.SetAccounts("y", nil)
	if l.Wanted(2) == false || l.SetAccounts("w", []int32{9}) || l.Wanted(9) {
		t.Error("a class that nobody waits in was set")
	}
	expect(t, l, served(l, 5, 9), "a", "c")
	l.SetAccounts("y", []int32{7})
	expect(t, l, served(l, 7, 9), "b")
}

func TestEachSkips(t *testing.T) {
	l := queue.New[string, string](0)
	for _, name := range []string{"a1", "b1", "a2", "c1", "a3"} {
		join(l, name, ticket{Class: name, Accounts: []int32{0}, Tenant: name[:1]})
	}
	var seen []string
	l.Each(0, func(w *waiter) bool {
		seen = append(seen, w.Value)
		if w.Value != "a3" {
			return true
		}
		l.Grant(w)
		return true // a changed line ends the walk all the same
	})
	expect(t, l, seen, "a1", "a2", "a3")
	expect(t, l, served(l, 0, 9), "b1", "c1", "a1", "a2")

	join(l, "d", ticket{Class: "d", Accounts: []int32{0}})
	join(l, "e", ticket{Class: "e", Accounts: []int32{0}})
	seen = nil
	l.Each(0, func(w *waiter) bool {
		seen = append(seen, w.Value)
		return l.SetAccounts("e", nil)
	})
	expect(t, l, seen, "d")
}

func TestWalkSkipsClasses(t *testing.T) {
	l := queue.New[string, string](0)
	for n := range 50 {
		for _, class := range []string{"x", "y", "z"} {
			join(l, class, ticket{Class: class, Tenant: fmt.Sprint(n % 5), Accounts: []int32{1}})
		}
	}
	var seen []string
	l.Walk(1, func(w *waiter) queue.Step {
		seen = append(seen, w.Value)
		if w.Value == "y" && len(seen) < 5 {
			return queue.On
		}
		return queue.SkipClass
	})
	expect(t, l, seen, "x", "y", "z", "y", "y")
}

func TestEachCorrectsWhatItMeets(t *testing.T) {
	l := queue.New[string, string](0)
	for n := range 100 {
		at := ticket{Class: fmt.Sprint(n % 4), Accounts: []int32{0, int32(n%4 + 1)}, Tenant: fmt.Sprint(n % 25)}
		join(l, "", at)
	}
	for account := range int32(4) {
		served(l, account+1, 12)
	}
	if l.Outdated() == 0 {
		t.Error("nothing to correct")
	}
	l.Each(0, func(*waiter) bool { return true })
	if n := l.Outdated(); n != 0 {
		t.Errorf("%d lanes are still out of place", n)
	}
}

func TestEachInsideEach(t *testing.T) {
	l := queue.New[string, string](0)
	for n := range 5 {
		join(l, fmt.Sprint(n), ticket{Class: fmt.Sprint(n), Accounts: []int32{0}})
	}
	l.Each(0, func(*waiter) bool { return true }) // leaves memory to use again
	var seen []string
	l.Each(0, func(w *waiter) bool {
		l.Each(0, func(o *waiter) bool {
			seen = append(seen, w.Value+o.Value)
			return o.Value < w.Value
		})
		return w.Value < "2"
	})
	expect(t, l, seen, "00", "10", "11", "20", "21", "22")
}

func TestReturn(t *testing.T) {
	l := queue.New[string, string](0)
	at := func(tenant string, n int) ticket {
		return ticket{Class: tenant, Accounts: []int32{0}, Tenant: tenant, Arrived: time.Duration(n)}
	}
	a1, b1 := join(l, "a1", at("a", 1)), join(l, "b1", at("b", 1))
	join(l, "a2", at("a", 1))
	l.Grant(a1)
	if place := l.Return(a1, at("a", 1)); place != 1 {
		t.Errorf("place %d", place)
	}
	expect(t, l, served(l, 0, 9), "a1", "b1", "a2")

	// The tenant was forgotten, and waits anew behind another.
	join(l, "b2", at("b", 2))
	join(l, "a3", at("a", 3))
	l.Return(b1, at("b", 1))
	expect(t, l, served(l, 0, 9), "b1", "a3", "b2")

	// The tenant was served since: its turn is not given back.
	a4, _ := join(l, "a4", at("a", 4)), join(l, "b4", at("b", 4))
	a5, _ := join(l, "a5", at("a", 5)), join(l, "a6", at("a", 6))
	l.Grant(a4)
	l.Grant(a5)
	l.Return(a4, at("a", 4))
	expect(t, l, served(l, 0, 9), "b4", "a4", "a6")

	// Two grants undone, the last first.
	a7, a8 := join(l, "a7", at("a", 7)), join(l, "a8", at("a", 8))
	join(l, "a9", at("a", 9))
	join(l, "b7", at("b", 7))
	l.Grant(a7)
	l.Grant(a8)
	l.Return(a8, at("a", 8))
	l.Return(a7, at("a", 7))
	expect(t, l, served(l, 0, 9), "a7", "b7", "a8", "a9")

	// Joining forgets the grant.
	join(l, "b8", at("b", 8))
	l.Join(a7, at("a", 8))
	l.Leave(a7)
	l.Return(a7, at("a", 8))
	expect(t, l, served(l, 0, 9), "b8", "a7")
}

func TestPlace(t *testing.T) {
	l := queue.New[string, string](100)
	at := func(tenant string, p queue.Priority, n int) ticket {
		return ticket{Accounts: []int32{0}, Tenant: tenant, Priority: p, Arrived: time.Duration(n)}
	}
	var last waiter
	for n := range 1000 {
		last = waiter{}
		if place := l.Join(&last, at("a", queue.Normal, n)); place != n+1 {
			t.Fatalf("a tenant alone: place %d of %d", place, n+1)
		}
		w := last
		l.Leave(&last)
		join(l, w.Value, at("a", queue.Normal, n))
	}
	var b, low, high waiter
	if place := l.Join(&b, at("b", queue.Normal, 1000)); place != 2 {
		t.Errorf("a newcomer's place is %d", place)
	}
	if place := l.Join(&low, at("b", queue.Low, 1000)); place != 4 {
		t.Errorf("its second's place is %d", place)
	}
	if place := l.Join(&high, at("b", queue.High, 1001)); place != 2 {
		t.Errorf("its urgent one's place is %d", place)
	}
	if place := l.Place(&low); place != 6 {
		t.Errorf("its last one's place is %d", place)
	}
	for _, pair := range [][2]*waiter{{&high, &b}, {&b, &low}, {&high, &low}} {
		if l.Compare(pair[0], pair[1]) >= 0 || l.Compare(pair[1], pair[0]) <= 0 {
			t.Errorf("%q does not come before %q", pair[0].Value, pair[1].Value)
		}
	}
	if first, _ := l.Next(0); l.Compare(first, &high) >= 0 || l.Compare(first, first) != 0 {
		t.Errorf("%q, which is next, does not come first", first.Value)
	}
	for range 3 {
		w, _ := l.Next(0)
		l.Grant(w)
	}
	if place := l.Place(&b); place != 2 {
		t.Errorf("after a round its place is %d", place)
	}
}
