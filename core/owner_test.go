package core_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
)

// TestStoppedOwner: no heartbeat, and the stream stays: the leases end after timeout and grace, and the owner hears of it.
func TestStoppedOwner(t *testing.T) {
	withOwners(t, plain(1, 20), func(h *house) {
		a := h.attach("stopped", "1", false)
		tokens := h.takes(ofOwner("stopped", "1"), 10)
		other := h.attach("other", "1", false)
		kept := h.takes(ofOwner("other", "1"), 3)
		h.beats(a, 6*time.Second, tokens...)
		h.beat(a, tokens...)
		h.beats(other, 20*time.Second-time.Millisecond, kept...)
		h.inUse(13)
		later(time.Millisecond)
		h.inUse(3)
		h.hearsLost(a, core.LeaseEndOwnerSilent, tokens...)
		h.hearsLost(other, 0)
		if n := h.ended("stopped", "a", core.LeaseEndOwnerSilent); n != 10 {
			t.Errorf("counted %d", n)
		}
		// What it did meanwhile counts once.
		h.reports(finished(tokens[0], core.OutcomeAccountError), core.EventExpired)
		h.reports(finished(tokens[0], core.OutcomeAccountError), core.EventAlreadyReleased)
		if rate := h.account("a").Stat.ErrorRate; rate != 0.2 {
			t.Errorf("error rate %v", rate)
		}
		h.beat(a, tokens...) // on waking it still believes in them
		h.inUse(3)
		h.hearsLost(a, 0) // told once
	})
}

// TestBrokenStream: the grace runs from the break, not from the last heartbeat.
func TestBrokenStream(t *testing.T) {
	withOwners(t, plain(1, 20), func(h *house) {
		a := h.attach("gone", "1", false)
		tokens := h.takes(ofOwner("gone", "1"), 10)
		h.beats(a, 9*time.Second, tokens...)
		a.Detach()
		a.Detach()
		if !errors.As(a.Err(), new(*core.Error)) || core.KindOf(a.Heartbeat(context.Background(), tokens)) != core.KindClosed {
			t.Error("a detached attachment lives")
		}
		later(10*time.Second - time.Millisecond)
		h.inUse(10)
		later(time.Millisecond)
		h.inUse(0)
		// Those that a request of its own gets afterwards end too, after the second grace.
		h.take(ofOwner("gone", "1"))
		later(15 * time.Second)
		h.take(ofOwner("gone", "1"))
		later(5 * time.Second)
		h.inUse(1)
		// Then it is one that never attached, and so is what it takes shortly before.
		h.take(ofOwner("gone", "1"))
		later(10 * time.Minute)
		h.inUse(2)
	})
}

// TestBreakAfterSilence: a break does not lengthen what silence has begun.
func TestBreakAfterSilence(t *testing.T) {
	withOwners(t, plain(1, 20), func(h *house) {
		a := h.attach("stopped", "1", false)
		h.takes(ofOwner("stopped", "1"), 2)
		later(15 * time.Second)
		a.Detach()
		later(5*time.Second - time.Millisecond)
		h.inUse(2)
		later(time.Millisecond)
		h.inUse(0)
	})
}

// TestBreakInSilence: what a request that stood in line got for a silent owner does not outlive the owner's end.
func TestBreakInSilence(t *testing.T) {
	for _, silent := range []time.Duration{time.Second, 15 * time.Second} { // since its leases were ended
		withOwners(t, plain(1, 20), func(h *house) {
			a := h.attach("stopped", "1", false)
			h.takes(ofOwner("stopped", "1"), 2)
			later(20 * time.Second)
			h.inUse(0)
			later(silent)
			h.take(ofOwner("stopped", "1"))
			a.Detach()
			later(10 * time.Second)
			h.inUse(0)
		})
	}
}

// TestComesBack: a reconnect within the grace keeps the leases, and so does a heartbeat on a stream that had fallen silent.
func TestComesBack(t *testing.T) {
	withOwners(t, plain(1, 20), func(h *house) {
		a := h.attach("back", "1", false)
		tokens := h.takes(ofOwner("back", "1"), 10)
		h.beats(a, 9*time.Second, tokens...)
		a.Detach()
		later(10*time.Second - time.Millisecond)
		a = h.attach("back", "1", true) // replaces_previous does not mean its own
		h.beat(a, tokens...)
		later(20*time.Second - time.Millisecond)
		h.beats(a, time.Minute, tokens...)
		h.inUse(10)
		h.hearsLost(a, 0)
	})
}

// TestHeartbeatRenews: leases live as long as the owner does, each with its own lifetime, and no longer than the greatest age.
func TestHeartbeatRenews(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("living", "1", false)
		short, long := ofOwner("living", "1"), ofOwner("living", "1")
		short.LeaseTTL, long.LeaseTTL = 5*time.Second, time.Hour
		tokens := []string{h.take(short).Token, h.take(long).Token, h.take(ofOwner("living", "1")).Token}
		h.beats(a, 9*time.Minute, tokens...)
		h.inUse(3)
		h.beats(a, time.Minute+time.Second, tokens...)
		h.inUse(0)
		h.hearsLost(a, core.LeaseEndMaxAge, tokens...)
		if n := h.ended("living", "a", core.LeaseEndMaxAge); n != 3 {
			t.Errorf("counted %d", n)
		}
		again := h.take(short).Token
		h.beat(a, again)
		later(5*time.Second - time.Millisecond)
		h.inUse(1)
		later(time.Second)
		h.inUse(0)
		h.hearsLost(a, core.LeaseEndExpired, again)
	}, with(func(o *core.Options) { o.MaxLeaseAge = 10 * time.Minute }))
}

// TestMaxAgeOfRenewals: a unary renewal is bounded too.
func TestMaxAgeOfRenewals(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		sel := h.take(mainRequest)
		if sel.TTL != 10*time.Minute {
			t.Errorf("granted for %v", sel.TTL)
		}
		later(9 * time.Minute)
		renewed, err := h.Renew(context.Background(), []string{sel.Token}, time.Hour)
		if err != nil || renewed[0].Status != core.EventApplied || !renewed[0].ExpiresAt.Equal(sel.ExpiresAt) {
			t.Errorf("renewed as %+v, %v", renewed, err)
		}
		later(time.Minute)
		h.inUse(0)
	}, with(func(o *core.Options) { o.MaxLeaseAge = 10 * time.Minute }))
}

// TestForgottenLease: it ends with the second heartbeat in a row that it is missing from.
func TestForgottenLease(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		a, req := h.attach("forgets", "1", false), ofOwner("forgets", "1")
		kept, forgotten := h.take(req).Token, h.take(req).Token
		others := h.takes(ofOwner("forgets", "0"), 1)
		h.beat(a, kept)
		later(time.Second)
		between := h.take(req).Token
		later(time.Second)
		h.inUse(4)
		h.beat(a, kept)
		h.hearsLost(a, core.LeaseEndForgotten, forgotten)
		h.inUse(3) // one that was granted between the two is not missing yet
		h.beat(a, kept, between)
		h.beat(a, kept)
		h.beat(a, kept, between) // not in a row
		h.inUse(3)
		h.beat(a, kept)
		h.beat(a, kept)
		h.hearsLost(a, core.LeaseEndForgotten, between)
		h.inUse(2)
		if n := h.ended("forgets", "a", core.LeaseEndForgotten); n != 2 {
			t.Errorf("counted %d", n)
		}
		// A new stream counts anew.
		h.beat(a)
		a = h.attach("forgets", "1", false)
		h.beat(a)
		h.inUse(2)
		h.beat(a)
		h.hearsLost(a, core.LeaseEndForgotten, kept)
		h.inUse(1)
		h.reports(finished(others[0], core.OutcomeSuccess), core.EventApplied)
	})
}

// TestTakeover: a newer stream of the same incarnation ends the older one, and nothing else.
func TestTakeover(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		old, other := h.attach("twice", "1", false), h.attach("twice", "0", false)
		token := h.take(ofOwner("twice", "1")).Token
		waits := make(chan error)
		go func() {
			_, err := old.Next(context.Background())
			waits <- err
		}()
		synctest.Wait()
		a := h.attach("twice", "1", false)
		isKind(t, <-waits, core.KindClosed)
		<-old.Done()
		isKind(t, old.Heartbeat(context.Background(), nil), core.KindClosed)
		old.Detach() // without effect on its successor
		if a.Err() != nil || other.Err() != nil {
			t.Error("others ended too")
		}
		h.beats(a, time.Minute, token)
		h.inUse(1)
		if n := h.state().OwnersAttached; n != 2 {
			t.Errorf("%d owners attached", n)
		}
	})
}

// TestReplacesPrevious: it ends the leases of earlier incarnations at once; nothing else does.
func TestReplacesPrevious(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		first := h.attach("pod", "1", false)
		lost := h.takes(ofOwner("pod", "1"), 10)
		lost = append(lost, h.takes(ofOwner("pod", "0"), 1)...) // never attached
		h.takes(ofOwner("pod2", "1"), 1)
		later(time.Second)
		h.takes(ofOwner("pod", "2"), 1) // it may ask before it attaches
		second := h.attach("pod", "2", false)
		h.inUse(13)
		second.Detach()
		h.attach("pod", "2", true)
		h.inUse(2)
		h.hearsLost(first, core.LeaseEndReplaced, lost[:10]...)
		if n := h.ended("pod", "a", core.LeaseEndReplaced); n != 11 {
			t.Errorf("counted %d", n)
		}
		// The earlier one coming back does not take its revenge, nor does the later one forget it.
		first.Detach()
		first = h.attach("pod", "1", true)
		h.inUse(2)
		h.takes(ofOwner("pod", "1"), 1)
		second = h.attach("pod", "2", true)
		h.inUse(2)
		if first.Err() != nil || second.Err() != nil {
			t.Error("a stream ended")
		}
	})
}

// TestWhoCameFirst: of incarnations that did not attach, one is as old as its oldest lease.
func TestWhoCameFirst(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		for _, incarnation := range []string{"1", "2", "3"} {
			h.takes(ofOwner("pod", incarnation), 1)
			later(time.Second)
		}
		h.attach("pod", "2", true)
		h.inUse(2)
		h.takes(ofOwner("pod", "1"), 1)
		h.attach("pod", "2", true)
		h.inUse(3) // a newer lease of an incarnation of which nothing else is known
		h.attach("pod", "3", true)
		h.inUse(2)
	})
}

// TestLateZombie: an incarnation that was stopped until nobody waited for it is still the earlier one.
func TestLateZombie(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		zombie := h.attach("pod", "1", false)
		zombie.Detach()
		later(time.Hour)
		a := h.attach("pod", "2", true)
		token := h.take(ofOwner("pod", "2")).Token
		h.attach("pod", "1", true)
		h.beat(a, token)
		h.inUse(1)
	})
}

// TestNeverAttached: the leases of one that never attached stand until their lifetime is over.
func TestNeverAttached(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		h.takes(ofOwner("unary", "1"), 2)
		h.take(mainRequest)
		later(core.DefaultLeaseTTL - time.Millisecond)
		h.inUse(3)
		later(2 * time.Second)
		h.inUse(0)
		if n := h.ended("unary", "a", core.LeaseEndExpired); n != 2 {
			t.Errorf("counted %d", n)
		}
		if n := h.ended("", "a", core.LeaseEndExpired); n != 1 {
			t.Errorf("counted %d without an owner", n)
		}
	})
}

// TestToldOnReturn: whoever comes back late hears what it lost, from memory, and again for what it still lists.
func TestToldOnReturn(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		a, req := h.attach("late", "1", false), ofOwner("late", "1")
		tokens := h.takes(req, 3)
		h.beat(a, tokens...)
		a.Detach()
		later(2 * time.Minute)
		h.inUse(0)
		a = h.attach("late", "1", false)
		<-a.Ready()
		h.hearsLost(a, core.LeaseEndOwnerSilent, tokens...)
		h.beat(a, tokens...)
		h.hearsLost(a, 0)
		a.Detach()
		a = h.attach("late", "1", false)
		h.hearsLost(a, 0)
		h.beat(a, tokens[0])
		h.hearsLost(a, core.LeaseEndOwnerSilent, tokens[0])
		// What it gave back itself is not lost.
		own := h.take(req).Token
		h.release(own)
		h.beat(a, own)
		h.hearsLost(a, 0)
		h.inUse(0)
	})
}

// TestAdopts: leases that the store has lost are taken up again, above the limit if need be; not those with a mark.
func TestAdopts(t *testing.T) {
	withOwners(t, plain(1, 2), func(before *house) {
		req := ofOwner("gateway", "1")
		tokens := before.takes(req, 2)
		store, err := memstore.New(memstore.Options{Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		h := settle(before.tb.(*testing.T), store, plain(1, 2))
		taken := h.takes(mainRequest, 2)
		a := h.attach("gateway", "1", false)
		h.beat(a, tokens[0], "no token", tokens[0], tokens[1], tokens[1]+"x")
		h.inUse(4)
		h.refusedOrPlanned(mainRequest)
		h.release(taken...)
		h.refusedOrPlanned(mainRequest)
		h.beats(a, time.Minute, tokens...)
		h.inUse(2)
		if snap := h.state(); snap.LeasesAdopted != 2 || snap.LeasesOvercommitted != 2 {
			t.Errorf("%d adopted, %d overcommitted", snap.LeasesAdopted, snap.LeasesOvercommitted)
		}
		h.reports(finished(tokens[0], core.OutcomeSuccess), core.EventApplied)
		h.beat(a, tokens...)
		h.inUse(1)
		h.hearsLost(a, 0)
		h.take(mainRequest)
	})
}

func (h *house) refusedOrPlanned(req core.Request) {
	h.tb.Helper()
	if answer := h.ask(req); answer.Selection != nil {
		h.tb.Fatal("selected above the limit")
	}
}
