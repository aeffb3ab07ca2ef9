package core_test

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

// restarted gives a house that took up what another left, after a time away.
func restarted(old *house, away time.Duration, accounts []pool.Account) *house {
	t := old.tb.(*testing.T)
	t.Helper()
	state := old.store.Export(nil, old.ExportState())
	if err := old.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	later(away)
	store, err := memstore.New(memstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	section, err := store.Import(state, core.CheckState)
	if err != nil {
		t.Fatal(err)
	}
	return settle(t, store, accounts, importing(section))
}

// importing hands a section to the scheduler before it has accounts.
func importing(section []byte) houseOption {
	return func(h *house, _ *core.Options) { h.section = section }
}

// TestRestart: leases stand until their owner's grace is over, conversations keep their accounts, and what was counted counts once.
func TestRestart(t *testing.T) {
	withOwners(t, plain(1, 7), func(old *house) {
		a, gone := old.attach("living", "1", false), old.attach("dead", "1", false)
		kept, lost := old.takes(ofOwner("living", "1"), 3), old.takes(ofOwner("dead", "1"), 2)
		unary := old.takes(ofOwner("unary", "1"), 1)
		old.beat(a, kept...)
		old.beat(gone, lost...)
		session := mainRequest
		session.SessionHash = "conversation"
		sel := old.take(session)
		done := finished(sel.Token, core.OutcomeAccountError)
		done.TTFT, done.ResponseID = 70250*time.Microsecond, "resp"
		old.reports(done, core.EventApplied)
		learned := old.account(sel.Account.ID).Stat

		h := restarted(old, 3*time.Second, plain(1, 6))
		h.inUse(6)
		h.refusedOrPlanned(mainRequest) // held before any is granted
		if got := h.account(sel.Account.ID).Stat; got != learned {
			t.Errorf("learned %+v, want %+v", got, learned)
		}
		h.reports(done, core.EventAlreadyReleased)
		if got := h.account(sel.Account.ID).Stat; got != learned {
			t.Errorf("counted twice: %+v", got)
		}
		later(8 * time.Second)
		a = h.attach("living", "1", false)
		h.beats(a, time.Second, kept...)
		h.inUse(6)
		later(time.Second)
		h.inUse(4) // the dead one's grace was 10 s from the restart
		session.PreviousResponseID = "resp"
		h.release(h.chooses(session, decide.LayerResponse, sel.Account.ID).Token)
		session.PreviousResponseID = ""
		h.release(h.chooses(session, decide.LayerSession, sel.Account.ID).Token)
		h.beats(a, 15*time.Minute, kept...)
		h.inUse(3) // the unary one's lifetime is over
		h.reports(finished(unary[0], core.OutcomeSuccess), core.EventExpired)
		h.reports(finished(kept[0], core.OutcomeSuccess), core.EventApplied)
		h.hearsLost(a, 0)
		gone = h.attach("dead", "1", true)
		h.beat(gone, lost...)
		h.inUse(2 + 2) // nothing remembers them any more, and their owner lives
	})
}

// TestRestartKeepsTeaching: deadlines stand, and what was learned fades on as if nothing had happened.
func TestRestartKeepsTeaching(t *testing.T) {
	accounts := plain(1, 4)
	withOwners(t, accounts, func(old *house) {
		old.policy = decide.Recommended()
		old.policy.TTFTPerModel = true
		old.apply(accounts...)
		req := mainRequest
		req.Model = "m"
		old.reports(firstToken(old.take(req).Token, 120*time.Millisecond), core.EventApplied)
		limited := finished(old.take(req).Token, core.OutcomeRateLimited)
		limited.RetryAfter = time.Minute
		old.reports(limited, core.EventApplied)
		want := old.account("a")
		if want.Blocked != decide.RateLimited {
			t.Fatalf("blocked by %v", want.Blocked)
		}
		later(10 * time.Second) // it fades meanwhile, and while nobody runs
		text := string(old.ExportState())
		h := restarted(old, 5*time.Second, nil)
		if got := string(h.ExportState()); got != text {
			t.Errorf("carried %s, want %s", got, text)
		}
		h.policy = old.policy
		h.apply(accounts...)
		if got := h.account("a"); got.Blocked != want.Blocked || !got.BlockedUntil.Equal(want.BlockedUntil) {
			t.Errorf("restored %+v, want %+v", got, want)
		}
		h.refused(req, core.RefusedNoneEligible)
	})
}

// TestRestartKnowsWhoCameFirst: replaces_previous after a restart ends the leases of those that had come before, and of no others.
func TestRestartKnowsWhoCameFirst(t *testing.T) {
	withOwners(t, plain(2, 0), func(old *house) {
		old.attach("pod", "1", false).Detach()
		old.attach("pod", "2", false)
		token := old.take(ofOwner("pod", "2")).Token
		h := restarted(old, time.Second, plain(2, 0))
		h.takes(ofOwner("pod", "1"), 1)
		h.attach("pod", "1", true)
		h.inUse(2)
		second := h.attach("pod", "2", true)
		h.inUse(1)
		h.beat(second, token)
		if second.Err() != nil || h.state().OwnersAttached != 2 {
			t.Error("somebody is not attached")
		}
	})
}

// TestRestartWaitsForNobodyAnew: an owner that nobody waited for before a restart is not waited for after it.
func TestRestartWaitsForNobodyAnew(t *testing.T) {
	withOwners(t, plain(1, 0), func(old *house) {
		old.attach("left", "1", false).Detach()
		later(time.Minute)
		old.take(ofOwner("left", "1"))
		h := restarted(old, time.Second, plain(1, 0))
		later(time.Minute)
		h.inUse(1)
	})
}

// TestRestartEndsWhatASilentOwnerGot: an owner that was silent when usher ended is waited for, whatever was ended before.
func TestRestartEndsWhatASilentOwnerGot(t *testing.T) {
	withOwners(t, plain(1, 0), func(old *house) {
		old.attach("stopped", "1", false)
		old.take(ofOwner("stopped", "1"))
		later(20 * time.Second)
		old.inUse(0)
		old.take(ofOwner("stopped", "1"))
		h := restarted(old, time.Second, plain(1, 0))
		h.inUse(1)
		later(10 * time.Second)
		h.inUse(0)
	})
}

// TestForeignState: what cannot be read is refused whole.
func TestForeignState(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	before := string(h.ExportState())
	for _, section := range []string{
		"x", "[]", `{"version":2}`, `{"version":1} 1`, `{"version":1,"more":1}`, `{"version":1,"accounts":[{"id":""}]}`,
		`{"version":1,"accounts":[{"id":"a","error_rate":0.5},{"id":"b","error_rate":1.5}]}`,
		`{"version":1,"accounts":[{"id":"a","ttft_ms":-1}]}`, `{"version":1,"accounts":[{"id":"a","has_ttft":true}]}`,
		`{"version":1,"accounts":[{"id":"a","error_rate":1e999}]}`,
		`{"version":1,"accounts":[{"id":"a"}],"owners":[{"name":"x"}]}`,
	} {
		if core.CheckState([]byte(section)) == nil || h.ImportState(context.Background(), []byte(section)) == nil {
			t.Errorf("%s: taken up", section)
		}
	}
	if after := string(h.ExportState()); after != before {
		t.Errorf("%s became %s", before, after)
	}
	if err := h.ImportState(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

// TestStateChanges: what is to be exported anew is counted, and the same state gives the same bytes.
func TestStateChanges(t *testing.T) {
	h := newHouse(t, plain(2, 0))
	changed := func(what string, want bool, change func()) {
		t.Helper()
		before, text := h.StateChanges(), string(h.ExportState())
		change()
		if got := h.StateChanges() != before; got != want || (string(h.ExportState()) != text) != want {
			t.Errorf("%s: changed %v", what, got)
		}
	}
	var a *core.Attachment
	changed("attach", true, func() { a = h.attach("x", "1", false) })
	changed("heartbeat", false, func() { h.beat(a) })
	token := h.take(mainRequest).Token
	changed("report", true, func() { h.reports(finished(token, core.OutcomeAccountError), core.EventApplied) })
	changed("report again", false, func() { h.reports(finished(token, core.OutcomeAccountError), core.EventAlreadyReleased) })
}
