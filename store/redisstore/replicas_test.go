package redisstore

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/storetest"
	"usher.internal/store/storetest/redistest"
)

// patience is after how long a test gives up waiting for what must come.
const patience = time.Minute

// onServers runs a test on each kind of server that is at hand.
func onServers(t *testing.T, test func(t *testing.T, server Server)) {
	t.Run("miniredis", func(t *testing.T) {
		test(t, single(miniredis.RunT(t).Addr()))
	})
	if redistest.Available() {
		t.Run("redis", func(t *testing.T) { test(t, single("unix://"+redistest.Single(t).Socket())) })
	}
}

// standing is a clock for servers that hardly moves, so that no turn is over before its replica comes to it.
func standing() func() time.Time {
	var calls atomic.Int64
	begin := time.Now()
	return func() time.Time { return begin.Add(time.Duration(calls.Add(1)) * time.Microsecond) }
}

// replica gives one of several schedulers on one server, which all have the same accounts.
func replica(tb testing.TB, server Server, limits ...int) *core.Scheduler {
	tb.Helper()
	return replicaAt(tb, nil, server, limits...)
}

// replicaWith is replica with options of its scheduler.
func replicaWith(tb testing.TB, server Server, opts core.Options, limits ...int) *core.Scheduler {
	tb.Helper()
	opts.Store, opts.Entropy, opts.Shared = open(tb, Options{Server: server, Budget: patience}), rand.Uint64, true
	return begin(tb, opts, limits)
}

// replicaAt is replica on a server whose time is now's, if that is not nil.
func replicaAt(tb testing.TB, now func() time.Time, server Server, limits ...int) *core.Scheduler {
	tb.Helper()
	store := open(tb, Options{Server: server, Budget: patience, fakeNow: now})
	return begin(tb, core.Options{Store: store, Entropy: rand.Uint64, Shared: true}, limits)
}

// begin starts a scheduler with accounts of these limits.
func begin(tb testing.TB, opts core.Options, limits []int) *core.Scheduler {
	tb.Helper()
	s, err := core.New(context.Background(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	accounts := make([]pool.Account, len(limits))
	for i, limit := range limits {
		accounts[i] = pool.Account{ID: "a" + strconv.Itoa(i), MaxConcurrency: limit}
	}
	if err := s.Apply(context.Background(), accounts, decide.Recommended()); err != nil {
		tb.Fatal(err)
	}
	return s
}

func ask(tb testing.TB, s *core.Scheduler, req core.Request) *core.Answer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := s.Select(ctx, &req)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

// taken asks and expects a selection.
func taken(tb testing.TB, s *core.Scheduler, req core.Request) *core.Selection {
	tb.Helper()
	answer := ask(tb, s, req)
	if answer.Selection == nil {
		tb.Fatalf("nothing selected: %+v %+v", answer.WaitPlan, answer.Refusal)
	}
	return answer.Selection
}

func finish(tb testing.TB, s *core.Scheduler, token string, outcome core.Outcome) core.EventStatus {
	tb.Helper()
	results, err := s.Report(context.Background(), []core.Event{{Kind: core.EventFinished, Token: token, Outcome: outcome}})
	if err != nil {
		tb.Fatal(err)
	}
	return results[0].Status
}

// waiting asks in a goroutine, and returns once the request stands in line.
func waiting(tb testing.TB, s *core.Scheduler, tenant string) <-chan *core.Answer {
	tb.Helper()
	before := snapshotWaiting(tb, s)
	out := make(chan *core.Answer, 1)
	go func() {
		answer, err := s.Select(context.Background(), &core.Request{Tenant: tenant, Wait: patience})
		if err != nil {
			tb.Error(err)
		}
		out <- answer
	}()
	until(tb, "the request stands in line", func() bool { return snapshotWaiting(tb, s) > before })
	return out
}

func snapshotWaiting(tb testing.TB, s *core.Scheduler) int {
	tb.Helper()
	snapshot, err := s.Snapshot(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return snapshot.Usage.Waiting
}

// until looks until it is so.
func until(tb storetest.TB, what string, is func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			tb.Fatalf("it did not come to be that %s", what)
		}
	}
}

// served waits for the answer to a request that stood in line.
func served(tb testing.TB, out <-chan *core.Answer) *core.Selection {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case answer := <-out:
		if answer == nil || answer.Selection == nil {
			tb.Fatalf("the waiter was answered with %+v", answer)
		}
		return answer.Selection
	case <-ctx.Done():
		tb.Fatal("the waiter was not answered")
	}
	return nil
}

func TestReplicasShare(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		a, b := replica(t, server, 2, 2), replica(t, server, 2, 2)
		first := taken(t, a, core.Request{SessionHash: "conversation"})
		second := taken(t, b, core.Request{SessionHash: "conversation"})
		if second.Account.ID != first.Account.ID {
			t.Errorf("bound to %q on one replica, served by %q on another", first.Account.ID, second.Account.ID)
		}
		for i, want := range []core.EventStatus{core.EventApplied, core.EventAlreadyReleased} {
			if got := finish(t, []*core.Scheduler{b, a}[i], first.Token, core.OutcomeSuccess); got != want {
				t.Errorf("report %d: status %v, want %v", i, got, want)
			}
		}
		var held []string
		for range 3 {
			held = append(held, taken(t, a, core.Request{}).Token)
		}
		if answer := ask(t, b, core.Request{}); answer.Selection != nil {
			t.Error("a slot above the limits was granted")
		}
		for _, token := range held {
			finish(t, b, token, core.OutcomeSuccess)
		}
	})
}

func TestReplicasLearnCooldowns(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		a, b := replica(t, server, 9), replica(t, server, 9)
		l := taken(t, a, core.Request{})
		event := core.Event{Kind: core.EventFinished, Token: l.Token, Outcome: core.OutcomeRateLimited, RetryAfter: time.Minute}
		if _, err := a.Report(context.Background(), []core.Event{event}); err != nil {
			t.Fatal(err)
		}
		until(t, "the other replica refuses", func() bool {
			answer := ask(t, b, core.Request{})
			if answer.Selection != nil {
				finish(t, b, answer.Selection.Token, core.OutcomeCancelled)
			}
			return answer.Refusal != nil && !answer.Refusal.NextEligibleAt.IsZero()
		})
	})
}

func TestWaiterIsServedByAnotherReplicasRelease(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		a, b := replica(t, server, 1), replica(t, server, 1)
		l := taken(t, a, core.Request{})
		out := waiting(t, b, "")
		finish(t, a, l.Token, core.OutcomeSuccess)
		if sel := served(t, out); sel.Line.Woken != core.WokenByRelease {
			t.Errorf("woken by %v", sel.Line.Woken)
		}
	})
}

// TestNewcomerIsBehindAnotherReplicasWaiter: who released and asks again at once finds the slot taken or kept.
func TestNewcomerIsBehindAnotherReplicasWaiter(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		now := standing()
		a, b := replicaAt(t, now, server, 1), replicaAt(t, now, server, 1)
		l := taken(t, a, core.Request{})
		out := waiting(t, b, "")
		finish(t, a, l.Token, core.OutcomeSuccess)
		if answer := ask(t, a, core.Request{}); answer.Selection != nil {
			t.Error("a newcomer passed who waits on another replica")
		}
		served(t, out)
	})
}

// TestNobodyStarvesOnAnotherReplica: where many wait on one replica, which has all the slots, one waits on another.
func TestNobodyStarvesOnAnotherReplica(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		now := standing()
		a, b := replicaAt(t, now, server, 1), replicaAt(t, now, server, 1)
		l := taken(t, a, core.Request{})
		const crowd = 8
		answers := make([]<-chan *core.Answer, crowd)
		for i := range answers {
			answers[i] = waiting(t, a, strconv.Itoa(i))
		}
		lone := waiting(t, b, "")
		finish(t, a, l.Token, core.OutcomeSuccess)
		// Each is released as soon as it is granted; the turns of two replicas take turns.
		grants := 0
		merged := make(chan *core.Answer)
		for _, out := range answers {
			go func() { merged <- <-out }()
		}
		for {
			select {
			case answer := <-merged:
				if grants++; grants > 3 {
					t.Fatalf("%d were served before the one on the other replica", grants)
				}
				finish(t, a, answer.Selection.Token, core.OutcomeSuccess)
				continue
			case answer := <-lone:
				finish(t, b, answer.Selection.Token, core.OutcomeSuccess)
			}
			break
		}
		for ; grants < crowd; grants++ {
			finish(t, a, (<-merged).Selection.Token, core.OutcomeSuccess)
		}
	})
}

// TestOwnerMovesToAnotherReplica: the replica that an owner left ends nothing of its own either, and the one that hears it ends all.
func TestOwnerMovesToAnotherReplica(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		clock, later := storetest.NewClock(), storetest.NewClock()
		a := replicaWith(t, server, core.Options{Clock: clock, SweepEvery: time.Hour}, 9)
		b := replicaWith(t, server, core.Options{Clock: later, SweepEvery: time.Hour}, 9)
		owner := core.Owner{Name: "gateway", Incarnation: "1"}
		old := attach(t, a, owner)
		moved, left := taken(t, a, core.Request{Owner: owner}), taken(t, a, core.Request{Owner: owner})
		old.Detach()
		moves := attach(t, b, owner)
		if err := moves.Heartbeat(context.Background(), []string{moved.Token}); err != nil {
			t.Fatal(err)
		}
		results, err := a.Renew(context.Background(), []string{left.Token}, 0) // what the old replica looks after again
		if err != nil || results[0].Status != core.EventApplied {
			t.Fatalf("renewed %+v, %v", results, err)
		}
		for _, name := range []string{"gone", "gone after that"} { // the old replica looks at them in this order
			gone := core.Owner{Name: name, Incarnation: "1"}
			taken(t, a, core.Request{Owner: gone})
			attach(t, a, gone).Detach()
			until(t, "the old replica has ended what is silent everywhere", func() bool {
				clock.Advance(time.Second)
				return inUse(t, b) == 2
			})
		}
		moves.Detach()
		until(t, "the new replica has ended all", func() bool {
			later.Advance(time.Second)
			return inUse(t, b) == 0
		})
	})
}

func attach(tb testing.TB, s *core.Scheduler, owner core.Owner) *core.Attachment {
	tb.Helper()
	a, err := s.Attach(context.Background(), owner, false)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func inUse(tb testing.TB, s *core.Scheduler) int {
	tb.Helper()
	snapshot, err := s.Snapshot(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return snapshot.Usage.Leases
}
