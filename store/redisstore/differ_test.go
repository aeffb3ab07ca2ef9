package redisstore

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
)

// TestOlderLimitsAreNotToldAgain: a replica that meets accounts which others made known leaves the limits as they were told last.
func TestOlderLimitsAreNotToldAgain(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		older, newer := w.replica(t), w.replica(t)
		life := older.Epoch()
		roster := worldRoster()
		roster.Accounts[0].Limit = 1
		roster.Accounts = append(roster.Accounts, core.RosterEntry{ID: "d", Limit: 5})
		must(t, newer.Register(t.Context(), roster))
		w.take(t, older, w.first(0))
		if out, err := newer.TakeFirst(t.Context(), w.first(0)); err != nil || out.Status != core.FirstNone {
			t.Errorf("the limit is not what was told last: %+v, error %v", out, err)
		}
		if older.Epoch() != life || newer.Epoch() != life || life == "" {
			t.Errorf("the memory is taken for another: %q, %q, %q", life, older.Epoch(), newer.Epoch())
		}
		must(t, older.beat(t.Context()))
		if out, err := older.TakeFirst(t.Context(), w.first(0)); err != nil || out.Status != core.FirstNone {
			t.Errorf("the limit is not what was told last: %+v, error %v", out, err)
		}
		must(t, older.Register(t.Context(), worldRoster()))
		w.take(t, newer, w.first(0))
	})
}

// TestWaiterElsewhereHeedsTheCooldown: the slot that a report gives back while it limits the account is not for another replica's waiter either.
func TestWaiterElsewhereHeedsTheCooldown(t *testing.T) {
	onServers(t, func(t *testing.T, server Server) {
		a, b := replica(t, server, 1), replica(t, server, 1)
		l := taken(t, a, core.Request{})
		out := waiting(t, b, "")
		ask(t, b, core.Request{}) // is answered once the waiter has looked for the last time before it stands still
		event := core.Event{Kind: core.EventFinished, Token: l.Token, Outcome: core.OutcomeRateLimited, RetryAfter: time.Second / 2}
		if _, err := a.Report(context.Background(), []core.Event{event}); err != nil {
			t.Fatal(err)
		}
		if sel := served(t, out); sel.Line.Woken != core.WokenByCooldownEnd {
			t.Errorf("woken by %v", sel.Line.Woken)
		}
	})
}
