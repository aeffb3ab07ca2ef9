package decide

import (
	"slices"
	"strings"
	"time"
)

// Cold is what reports taught about when one account may serve again. It is immutable and
// safe for concurrent use; nil is an account of which nothing was taught.
//
// A deadline that has passed stays as probation until a success on its scope: under a
// half-open policy the account then takes one probe at a time.
type Cold struct {
	account    Deadline
	authFailed bool
	models     []modelDeadline // by name
}

// Deadline is the end of a cooldown with what set it; the zero value is none.
type Deadline struct {
	Until  time.Time
	Reason Reason
}

type modelDeadline struct {
	model string // trimmed upstream name
	Deadline
}

// maxColdModels bounds the models of one account: their names come from callers.
const maxColdModels = 64

// Account gives the deadline of the whole account, over or not.
func (c *Cold) Account() Deadline {
	if c == nil {
		return Deadline{}
	}
	return c.account
}

// AuthFailed tells that the account's credentials were refused.
func (c *Cold) AuthFailed() bool { return c != nil && c.authFailed }

// Model gives the deadline of an upstream model, over or not, with the reason it was set for.
func (c *Cold) Model(upstream string) Deadline {
	if c == nil || len(c.models) == 0 {
		return Deadline{}
	}
	if i, ok := c.find(strings.TrimSpace(upstream)); ok {
		return c.models[i].Deadline
	}
	return Deadline{}
}

// Models gives the number of models with a deadline, over or not.
func (c *Cold) Models() int {
	if c == nil {
		return 0
	}
	return len(c.models)
}

func (c *Cold) find(model string) (int, bool) {
	return slices.BinarySearchFunc(c.models, model, func(m modelDeadline, name string) int {
		return strings.Compare(m.model, name)
	})
}

// Cooled gives a copy with a deadline for an upstream model, or for the whole account when
// the model is blank. The later of two deadlines stands, with its reason.
func (c *Cold) Cooled(model string, until time.Time, reason Reason) *Cold {
	d := Deadline{until, reason}
	if model = strings.TrimSpace(model); model == "" {
		if !until.After(c.Account().Until) {
			return c
		}
		out := c.copied()
		out.account = d
		return out
	}
	if !until.After(c.Model(model).Until) {
		return c
	}
	out := c.copied()
	i, ok := out.find(model)
	switch {
	case ok:
		out.models[i].Deadline = d
	case len(out.models) < maxColdModels:
		out.models = slices.Insert(out.models, i, modelDeadline{strings.Clone(model), d})
	case !out.replaceSoonest(modelDeadline{strings.Clone(model), d}):
		return c
	}
	return out
}

// replaceSoonest gives the place of the deadline that ends first to m, unless m's own would; it tells whether it did.
func (c *Cold) replaceSoonest(m modelDeadline) bool {
	soonest := slices.IndexFunc(c.models, func(o modelDeadline) bool {
		return !slices.ContainsFunc(c.models, func(p modelDeadline) bool { return p.Until.Before(o.Until) })
	})
	if !c.models[soonest].Until.Before(m.Until) {
		return false
	}
	c.models = slices.Delete(c.models, soonest, soonest+1)
	i, _ := c.find(m.model)
	c.models = slices.Insert(c.models, i, m)
	return true
}

// RefusedAuth gives a copy whose credentials were refused: paused without a deadline.
func (c *Cold) RefusedAuth() *Cold {
	if c.AuthFailed() {
		return c
	}
	out := c.copied()
	out.authFailed = true
	return out
}

// Cleared gives a copy without the deadline of an upstream model; of the whole account when the
// model is blank, refused credentials included. Nil when nothing is left.
func (c *Cold) Cleared(model string) *Cold {
	model = strings.TrimSpace(model)
	return c.without(func(name string, _ Deadline) bool { return name == model }, model == "")
}

// Succeeded gives a copy after a success on an upstream model: the probations of the account and of
// that model are over. No running deadline is shortened, and no other model's is touched. Nil when nothing is left.
func (c *Cold) Succeeded(model string, now time.Time) *Cold {
	model = strings.TrimSpace(model)
	return c.without(func(name string, d Deadline) bool {
		return (name == "" || name == model) && !now.Before(d.Until)
	}, false)
}

// Kept gives a copy without the deadlines that had passed at an instant and are not kept, and without refused credentials unless
// auth. Nil when nothing is left.
func (c *Cold) Kept(instant time.Time, keeps func(model string) bool, auth bool) *Cold {
	return c.without(func(model string, d Deadline) bool { return !instant.Before(d.Until) && !keeps(model) }, !auth)
}

// Since gives a copy without the deadlines that had passed at an instant. Nil when nothing is left.
func (c *Cold) Since(instant time.Time) *Cold {
	return c.without(func(_ string, d Deadline) bool { return !instant.Before(d.Until) }, false)
}

// without drops the deadlines that over names; the whole account's has a blank name.
func (c *Cold) without(over func(model string, d Deadline) bool, auth bool) *Cold {
	if c == nil {
		return nil
	}
	overModel := func(m modelDeadline) bool { return over(m.model, m.Deadline) }
	account := !c.account.Until.IsZero() && over("", c.account)
	if auth = auth && c.authFailed; !account && !auth && !slices.ContainsFunc(c.models, overModel) {
		return c
	}
	out := c.copied()
	if account {
		out.account = Deadline{}
	}
	out.authFailed = c.authFailed && !auth
	out.models = slices.DeleteFunc(out.models, overModel)
	if out.account.Until.IsZero() && !out.authFailed && len(out.models) == 0 {
		return nil
	}
	return out
}

func (c *Cold) copied() *Cold {
	if c == nil {
		return &Cold{}
	}
	out := *c
	out.models = slices.Clone(c.models)
	return &out
}

// NeedsProbe tells that a cooldown of the account, or of the upstream model on it, is over without a
// success since: under a half-open policy it takes one probe at a time.
func NeedsProbe(c *Cold, upstream string, now time.Time) bool {
	return c != nil && (c.account.passed(now) || c.Model(upstream).passed(now))
}

// AwaitsProbe tells that all that an account takes for an upstream model is a probe, and that one is out.
func AwaitsProbe(l *Load, c *Cold, upstream string, p *Policy, now time.Time) bool {
	return l.Probing && p.HalfOpen && NeedsProbe(c, upstream, now)
}

func (d Deadline) passed(now time.Time) bool { return passed(d.Until, now) }

// cools tells that the whole account cools for a reason; c is not nil.
func (c *Cold) cools(reason Reason, now time.Time) bool {
	return c.account.Reason == reason && now.Before(c.account.Until)
}

// end gives the end of the whole account's cooldown if it was set for a reason.
func (c *Cold) end(reason Reason) time.Time {
	if c == nil || c.account.Reason != reason {
		return time.Time{}
	}
	return c.account.Until
}
