package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher.internal/core/queue"
)

// world does everything to a line and to the model, and compares.
type world struct {
	line    *queue.Line[string, int]
	model   *model
	waiters []*queue.Waiter[int] // by id

	classes, tenants int
}

const (
	worldWaiters  = 24
	worldAccounts = 6
)

func newWorld(aging, classes, tenants int) *world {
	w := &world{
		line: queue.New[string, int](time.Duration(aging)), model: newModel(int64(aging)),
		classes: classes, tenants: tenants,
	}
	for id := range worldWaiters {
		w.waiters = append(w.waiters, &queue.Waiter[int]{Value: id})
	}
	return w
}

// op is one thing to do; numbers out of range are wrapped.
type op struct {
	kind, id, class, tenant, priority, arrived, account int
	accounts                                            []int32
}

const opKinds = 12

func (w *world) do(o op) error {
	id := o.id % worldWaiters
	it := w.waiters[id]
	class, tenant := fmt.Sprint("c", o.class%w.classes), fmt.Sprint("t", o.tenant%w.tenants)
	priority := queue.Priority(o.priority%3 - 1)
	ticket := queue.Ticket[string]{
		Class: class, Tenant: tenant, Priority: priority, Accounts: o.accounts, Arrived: time.Duration(o.arrived),
	}
	as := modelWaiter{id: id, class: class, tenant: tenant, behind: int64(1 - priority), arrived: int64(o.arrived)}
	account := int32(o.account % (worldAccounts + 1))
	switch o.kind % opKinds {
	case 0, 1, 2:
		if !it.Waiting() {
			w.model.join(as, o.accounts)
		}
		return w.same("place", w.line.Join(it, ticket), w.model.place(id))
	case 3:
		return w.same("leave", w.line.Leave(it), w.model.leave(id))
	case 4:
		return w.same("grant", w.line.Grant(it), w.model.grant(id))
	case 5:
		return w.serve(account)
	case 6:
		return w.walk(account, o.id%(worldWaiters+1), o.class%2 == 0)
	case 7:
		if !it.Waiting() {
			w.model.undo(as, o.accounts)
		}
		return w.same("place after return", w.line.Return(it, ticket), w.model.place(id))
	case 8:
		return w.same("park", w.line.Park(tenant), w.model.park(tenant, true))
	case 9:
		return w.same("unpark", w.line.Unpark(tenant), w.model.park(tenant, false))
	case 10:
		var got []int
		for _, it := range w.line.Firsts(tenant) {
			got = append(got, it.Value)
		}
		return w.same("firsts", fmt.Sprint(got), fmt.Sprint(w.model.firsts(tenant)))
	default:
		_, known := w.model.accounts[class]
		if known {
			w.model.accounts[class] = o.accounts
		}
		return w.same("set accounts", w.line.SetAccounts(class, o.accounts), known)
	}
}

func (w *world) same(what string, got, want any) error {
	if got != want {
		return fmt.Errorf("%s = %v, want %v", what, got, want)
	}
	return nil
}

// serve grants the account's next.
func (w *world) serve(account int32) error {
	order := w.model.order(account)
	it, ok := w.line.Next(account)
	switch {
	case ok != (len(order) > 0):
		return fmt.Errorf("next of %d = %v, want %v", account, ok, order)
	case !ok:
		return nil
	case it.Value != order[0]:
		return fmt.Errorf("next of %d = %d, want %v", account, it.Value, order)
	}
	return w.same("grant", w.line.Grant(it), w.model.grant(it.Value))
}

// walk looks at the first n whom the account fits, and grants the last of them.
func (w *world) walk(account int32, n int, grant bool) error {
	order := w.model.order(account)
	order = order[:min(n+1, len(order))]
	var got []int
	w.line.Each(account, func(it *queue.Waiter[int]) bool {
		got = append(got, it.Value)
		if len(got) <= n {
			return true
		}
		if grant {
			w.line.Grant(it)
			w.model.grant(it.Value)
		}
		return false
	})
	if !slices.Equal(got, order) {
		return fmt.Errorf("each of %d = %v, want %v", account, got, order)
	}
	return nil
}

// check compares what can be seen without looking for anybody.
func (w *world) check() error {
	if err := w.line.Check(); err != nil {
		return err
	}
	m := w.model
	if w.line.Len() != len(m.waiters) || w.line.Tenants() != len(m.tenants) {
		return fmt.Errorf("%d of %d tenants, want %d of %d", w.line.Len(), w.line.Tenants(), len(m.waiters), len(m.tenants))
	}
	for id, it := range w.waiters {
		if it.Waiting() != (m.find(id) >= 0) || w.line.Place(it) != m.place(id) {
			return fmt.Errorf("waiter %d: waiting %v, place %d, want %d", id, it.Waiting(), w.line.Place(it), m.place(id))
		}
	}
	for n := range max(w.classes, w.tenants) + 1 {
		class, tenant := fmt.Sprint("c", n), fmt.Sprint("t", n)
		in := m.count(func(w modelWaiter) bool { return w.class == class })
		of := m.count(func(w modelWaiter) bool { return w.tenant == tenant })
		if w.line.WaitingIn(class) != in || w.line.WaitingOf(tenant) != of {
			return fmt.Errorf("%s, %s: %d, %d waiting", class, tenant, w.line.WaitingIn(class), w.line.WaitingOf(tenant))
		}
	}
	for account := range int32(worldAccounts + 2) {
		wanted := m.count(func(w modelWaiter) bool { return slices.Contains(m.accounts[w.class], account) }) > 0
		if got := w.line.Wanted(account); got != wanted {
			return fmt.Errorf("wanted %d = %v", account, got)
		}
	}
	return nil
}

// finish serves all accounts until nobody fits, then the rest leave.
func (w *world) finish() error {
	for n := range w.tenants {
		tenant := fmt.Sprint("t", n)
		if err := w.same("unpark", w.line.Unpark(tenant), w.model.park(tenant, false)); err != nil {
			return err
		}
	}
	for account := range int32(worldAccounts) {
		for w.line.Wanted(account) {
			if err := w.serve(account); err != nil {
				return err
			}
		}
	}
	for id, it := range w.waiters {
		if err := w.same("leave", w.line.Leave(it), w.model.leave(id)); err != nil {
			return err
		}
	}
	if dump := w.line.Dump(); dump != "" || w.line.Len() != 0 || w.line.Tenants() != 0 {
		return fmt.Errorf("left over: %q", dump)
	}
	return w.check()
}

func drawOp(t *rapid.T, clock int) op {
	number := func(name string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name) }
	return op{
		kind: number("kind", 0, opKinds-1), id: number("id", 0, worldWaiters-1),
		class: number("class", 0, 4), tenant: number("tenant", 0, 15), priority: number("priority", 0, 2),
		arrived: max(0, clock-number("ago", 0, 40)), account: number("account", 0, worldAccounts),
		accounts: rapid.SliceOfNDistinct(rapid.Int32Range(0, worldAccounts-1), 0, worldAccounts, rapid.ID).Draw(t, "accounts"),
	}
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(
			rapid.SampledFrom([]int{0, 1, 10, 1000}).Draw(t, "aging"),
			rapid.SampledFrom([]int{1, 2, 5}).Draw(t, "classes"),
			rapid.SampledFrom([]int{2, 4, 16}).Draw(t, "tenants"),
		)
		for clock := range rapid.IntRange(1, 150).Draw(t, "steps") {
			o := drawOp(t, clock)
			if err := w.do(o); err != nil {
				t.Fatalf("%+v: %v\n%s", o, err, w.line.Dump())
			}
			if err := w.check(); err != nil {
				t.Fatalf("after %+v: %v\n%s", o, err, w.line.Dump())
			}
		}
		if err := w.finish(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add([]byte{10, 0, 1, 0, 1, 0, 3, 5, 0, 0, 0, 0, 0, 3})
	f.Add([]byte("\x00abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const size = 6
		if len(data) == 0 || len(data) > 200*size {
			return
		}
		w := newWorld(int(data[0]&31), 1+int(data[0]>>5&1)*4, 2<<(data[0]>>6))
		for data = data[1:]; len(data) >= size; data = data[size:] {
			o := op{
				kind: int(data[0]), id: int(data[1]), class: int(data[2] & 7), tenant: int(data[2] >> 3),
				priority: int(data[3] & 3), arrived: int(data[4]), account: int(data[3] >> 2),
			}
			for account := range int32(worldAccounts) {
				if data[5]>>account&1 == 1 {
					o.accounts = append(o.accounts, account)
				}
			}
			if err := w.do(o); err != nil {
				t.Fatalf("%+v: %v\n%s", o, err, w.line.Dump())
			}
			if err := w.check(); err != nil {
				t.Fatalf("after %+v: %v\n%s", o, err, w.line.Dump())
			}
		}
		if err := w.finish(); err != nil {
			t.Fatal(err)
		}
	})
}
