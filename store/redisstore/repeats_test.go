package redisstore

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/storetest/redistest"
)

// tap is a client that keeps what a store sends.
type tap struct {
	rueidis.Client

	// mu guards what follows.
	mu   sync.Mutex
	sent [][]string
}

// tapped puts a tap before a store's client.
func tapped(s *Store) *tap {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	one := &tap{Client: s.conn.client}
	s.conn.client = one
	return one
}

func (c *tap) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	c.mu.Lock()
	c.sent = append(c.sent, slices.Clone(cmd.Commands()))
	c.mu.Unlock()
	return c.Client.Do(ctx, cmd)
}

// took gives what was sent since it was called last.
func (c *tap) took() [][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

// repeater sends again what a store sent.
type repeater struct {
	*testing.T
	*world
	store  *Store
	tap    *tap
	beside rueidis.Client
}

func newRepeater(t *testing.T, w *world) *repeater {
	s := w.replica(t)
	return &repeater{T: t, world: w, store: s, tap: tapped(s), beside: w.client(t)}
}

// repeat sends commands as they were; where the time came with them it is the present one, as a server's own would be.
func (r *repeater) repeat(commands [][]string) {
	r.Helper()
	for _, words := range commands {
		words = slices.Clone(words)
		if len(words[4]) > 32 {
			words[4] = words[4][:32] + micros(r.now())
		}
		err := r.beside.Do(context.Background(), r.beside.B().Arbitrary(words[0]).Args(words[1:]...).Build()).Error()
		if err != nil && !rueidis.IsRedisNil(err) {
			r.Fatalf("%.80q: %v", words, err)
		}
	}
	sound(r.T, r.beside, r.store.prefix[0])
}

// holds wants the accounts to have so many leases, and so many to wait.
func (r *repeater) holds(when string, use [3]int32, waiting int) {
	r.Helper()
	if got := usedBy(r.T, r.store); got != use {
		r.Errorf("%s in use are %v, want %v", when, got, use)
	}
	u, err := r.store.Usage(context.Background(), "")
	must(r.T, err)
	if u.Waiting != waiting {
		r.Errorf("%s %d wait, want %d", when, u.Waiting, waiting)
	}
}

// onWorlds runs a test on a server in this process and on a real one.
func onWorlds(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { test(t, newMiniWorld(t)) })
	if redistest.Available() {
		t.Run("single", func(t *testing.T) {
			test(t, newRealWorld(single("unix://"+redistest.Single(t).Socket()), "repeats"))
		})
	}
}

// TestTakesTwice sends takes again: at once, after the lease's release, after its end, and after all that is known of it is over.
func TestTakesTwice(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := newRepeater(t, w)
		session := core.BindingKey(w.id())
		for name, take := range map[string]func() core.Lease{
			"first": func() core.Lease { return r.take(t, r.store, r.first(0)) },
			"request": func() core.Lease {
				take := r.first(0)
				take.Grant.Request, take.Session, take.SessionTTL = r.id(), session, time.Hour
				take.Grant.Tenant, take.Grant.Owner.Name = "tenant", "owner"
				return r.take(t, r.store, take)
			},
			"probe": func() core.Lease {
				take := r.first(0)
				take.Order[0].Probe = true
				return r.take(t, r.store, take)
			},
			"bound": func() core.Lease {
				out, err := r.store.TakeBound(context.Background(), &core.BoundTake{
					Grant: core.Grant{ID: r.id(), TTL: worldTTL}, Session: r.bind(session), SessionTTL: time.Hour, Judge: takeAll{},
				})
				must(t, err)
				if out.Status != core.BoundTook {
					t.Fatalf("the take ended with %d", out.Status)
				}
				return out.Lease
			},
		} {
			r.tap.took()
			lease := take()
			sent := r.tap.took()
			sent = sent[len(sent)-1:]
			r.repeat(sent)
			r.repeat(sent)
			r.holds(name+" twice:", [3]int32{1, 0, 0}, 0)
			settle(t, r.store, core.SettleFinished, lease)
			r.repeat(sent)
			r.holds(name+" after its release:", [3]int32{}, 0)
			take()
			sent = r.tap.took()
			sent = sent[len(sent)-1:]
			r.advance(worldTTL)
			r.repeat(sent)
			r.holds(name+" after its end:", [3]int32{}, 0)
			r.advance(worldMarkTTL)
			r.repeat(sent)
			r.holds(name+" after its mark:", [3]int32{}, 0)
		}
	})
}

// bind binds a session to a.
func (r *repeater) bind(session core.BindingKey) core.BindingKey {
	take := r.first(0)
	take.Session, take.SessionTTL = session, time.Hour
	settle(r.T, r.store, core.SettleUnused, r.take(r.T, r.store, take))
	return session
}

// takeAll lets every binding take.
type takeAll struct{}

func (takeAll) Judge(decide.Layer, string) decide.Fate { return decide.Take }

func (takeAll) Fates(_ []string, fates []core.Fates) {
	for i := range fates {
		fates[i] = core.Fates{Response: decide.Take, Session: decide.Take, Substitute: decide.Take}
	}
}

func (takeAll) Standing() (core.Standing, bool) { return core.Standing{}, false }

// TestTakenBackTwice wants a lease to live that was handed out to another, too, however often the first taking is undone.
func TestTakenBackTwice(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := newRepeater(t, w)
		take := r.first(0)
		take.Grant.Request = r.id()
		lease := r.take(t, r.store, take)
		take.Grant.ID = r.id()
		if out, err := r.store.TakeFirst(t.Context(), take); err != nil || out.Status != core.FirstRepeated {
			t.Fatalf("the repeat ended with %d, %v", out.Status, err)
		}
		for range 3 {
			must(t, r.store.takeBack(t.Context(), []lostTake{{id: key(lease.ID)}}))
			r.holds("taken back:", [3]int32{1, 0, 0}, 0)
		}
		settle(t, r.store, core.SettleWithdrawn, lease)
		r.holds("withdrawn:", [3]int32{}, 0)
	})
}
