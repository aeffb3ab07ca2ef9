package core

import (
	"slices"
	"testing"
	"time"

	"usher.internal/core/decide"
)

// TestColdsKeep: what the store does not have ends, unless it began after the store was asked.
func TestColdsKeep(t *testing.T) {
	c, until := newColds(), coldStart.Add(time.Minute)
	if got := c.keep(c.ask(until), nil, nil); got != nil {
		t.Errorf("nothing to end: %v", got)
	}
	c.set(1, &Cooldown{Until: until, Reason: decide.RateLimited})
	c.set(2, &Cooldown{Model: "m", Until: until, Reason: decide.RateLimited})
	early := c.ask(until.Add(-1))
	c.set(3, &Cooldown{Reason: decide.AuthFailed})
	if got := c.keep(early, nil, nil); got != nil {
		t.Errorf("what began later ended: %v", got)
	}
	late, stands := c.ask(until), map[coldKey]bool{{ordinal: 2, model: "m"}: true, {ordinal: 3}: true, {ordinal: 3, auth: true}: true}
	if got := c.keep(late, stands, nil); !slices.Equal(got, []int32{1}) || c.of(1) != nil || c.of(2) == nil || !c.of(3).AuthFailed() {
		t.Errorf("ended are %v", got)
	}
	if got := c.keep(late, nil, nil); !slices.Equal(got, []int32{2, 3}) || c.any() {
		t.Errorf("ended are %v", got)
	}
}
