package queue_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"usher.internal/core/queue"
)

// crowd is 1,000 waiters of tenant a in the class.
func crowd(l *line, class string, accounts ...int32) []*waiter {
	var all []*waiter
	for n := range 1000 {
		all = append(all, join(l, "a", ticket{Class: class, Accounts: accounts, Tenant: "a", Arrived: time.Duration(n)}))
	}
	return all
}

func TestCrowdAndOne(t *testing.T) {
	for _, classes := range [][2]string{{"m", "m"}, {"m", "n"}} {
		l := queue.New[string, string](0)
		crowd(l, classes[0], 0, 1)
		join(l, "b", ticket{Class: classes[1], Accounts: []int32{1, 2}, Tenant: "b", Arrived: 1000})
		if got := served(l, 1, 2); !slices.Contains(got, "b") {
			t.Errorf("classes %v: two tenants, two grants: %v", classes, got)
		}
		if got := served(l, 1, 9999); len(got) != 999 {
			t.Errorf("alone it gets %d", len(got))
		}
		if err := l.Check(); err != nil {
			t.Error(err)
		}
	}
}

// Every newcomer is served within as many grants of accounts that fit it as there are tenants.
func TestNewcomerAmongMany(t *testing.T) {
	const tenants = 20
	l := queue.New[string, string](0)
	for n := range tenants * 50 {
		tenant := n % tenants
		join(l, "old", ticket{
			Class: fmt.Sprint(n % 7), Accounts: []int32{0, int32(n % 7)}, Tenant: fmt.Sprint(tenant), Arrived: time.Duration(n),
		})
	}
	for round := range 20 {
		served(l, int32(round%7), round)
		join(l, "new", ticket{Class: "new", Accounts: []int32{0}, Tenant: "new", Arrived: time.Duration(2000 + round)})
		// Grants of others do not delay it.
		served(l, int32(1+round%6), 3)
		if got := served(l, 0, tenants+1); !slices.Contains(got, "new") {
			t.Fatalf("round %d: not among %d grants", round, len(got))
		}
	}
}

// What a tenant took while nobody else could use it costs it no more than a round.
func TestIdleCapacityIsNotHeldAgainst(t *testing.T) {
	l := queue.New[string, string](0)
	crowd(l, "m", 0, 1)
	join(l, "b", ticket{Class: "n", Accounts: []int32{0}, Tenant: "b"})
	served(l, 1, 500)
	for range 5 {
		join(l, "b", ticket{Class: "n", Accounts: []int32{0}, Tenant: "b"})
	}
	expect(t, l, served(l, 0, 6), "b", "a", "b", "a", "b", "a")
}

func TestCancellingIsNotPunished(t *testing.T) {
	l := queue.New[string, string](0)
	all := crowd(l, "m", 0)
	join(l, "b", ticket{Class: "m", Tenant: "b"})
	for _, w := range all[:len(all)-2] {
		l.Leave(w)
	}
	expect(t, l, served(l, 0, 9), "a", "b", "a")
}

// Large heaps, that the model's short lines do not have.
func TestManyTenantsInDisorder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l := queue.New[string, string](0)
	all := make([]waiter, 300)
	for n := range 6000 {
		w := &all[rng.IntN(len(all))]
		switch next, ok := l.Next(int32(rng.IntN(2))); {
		case n%3 == 0 && ok:
			l.Grant(next)
		case !l.Leave(w):
			class := rng.IntN(2)
			l.Join(w, ticket{Class: fmt.Sprint(class), Accounts: []int32{int32(class)}, Tenant: fmt.Sprint(rng.IntN(100))})
		}
		if err := l.Check(); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
	}
}

func TestMemoryGoesBack(t *testing.T) {
	l := queue.New[string, string](0)
	fill := func(many, classes int) []*waiter {
		var all []*waiter
		for n := range many {
			all = append(all, join(l, "", ticket{
				Class: fmt.Sprint(n % classes), Accounts: []int32{int32(n % 64)}, Tenant: fmt.Sprint(n),
			}))
		}
		return all
	}
	all := fill(10000, 3000)
	for n, w := range all[5:] {
		l.Leave(w)
		if n%1000 == 0 {
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if spare := l.Spares(); spare > 3000+2*(256+5) {
		t.Errorf("%d spare records beside five waiters", spare)
	}
	for _, w := range all[:5] {
		l.Leave(w)
	}
	if spare := l.Spares(); spare != 0 {
		t.Errorf("%d spare records after a crowd", spare)
	}
	for _, w := range fill(2000, 5) {
		l.Leave(w)
	}
	if spare := l.Spares(); spare > 5+2*(256+1) {
		t.Errorf("%d spare records after few", spare)
	}
	if err := l.Check(); err != nil || l.Len() != 0 {
		t.Error(l.Len(), err)
	}
}

func TestSteadyUseAllocatesNothing(t *testing.T) {
	l := queue.New[string, string](time.Second)
	all := make([]waiter, 100)
	at := func(n int) ticket {
		return ticket{Class: classNames[n%10], Accounts: accountSets[n%10], Tenant: tenantNames[n%50], Arrived: time.Duration(n)}
	}
	n := 0
	cycle := func() {
		for i := range all {
			l.Join(&all[i], at(n+i))
		}
		for i := range 50 {
			if w, ok := l.Next(int32(i % 10)); ok {
				l.Grant(w)
				l.Return(w, at(i))
			}
		}
		l.Each(3, func(w *waiter) bool { return true })
		for i := range all {
			l.Leave(&all[i])
		}
		n++
	}
	for range 100 {
		cycle()
	}
	if allocs := testing.AllocsPerRun(200, cycle); allocs >= 1 {
		t.Errorf("%v allocations for each 350 operations", allocs)
	}
}

var (
	classNames  = names("class-", 10)
	tenantNames = names("tenant-", 50)
	accountSets = overlapping(10, 10, 4)
)

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

// overlapping gives each class so many accounts in a row, around the pool.
func overlapping(classes, accounts, each int) [][]int32 {
	all := make([][]int32, classes)
	for c := range all {
		for i := range each {
			all[c] = append(all[c], int32((c*accounts/classes+i)%accounts))
		}
	}
	return all
}
