package redisstore

import (
	"context"

	"usher.internal/core"
)

// settleKinds are the letters of core's kinds.
var settleKinds = [...]byte{
	core.SettleFirstToken: 't', core.SettleFinished: 'f', core.SettleUnused: 'u', core.SettleSwitched: 's', core.SettleWithdrawn: 'w',
}

// Settle applies events in order.
func (s *Store) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	n := min(len(events), len(results))
	if n == 0 {
		return ctx.Err()
	}
	for from := 0; from < n; from += opsMost {
		to := min(from+opsMost, n)
		if err := s.settleSome(ctx, events[from:to], results[from:to]); err != nil {
			return err
		}
	}
	return nil
}

// settleSome is Settle for as many events as go in one call.
func (s *Store) settleSome(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	a, err := s.do(ctx, s.opts.Budget, len(events), func(t *table, o *op) {
		for i := range events {
			s.bindsFor(events[i].BindTTL)
			writeEvent(t, o, &events[i])
		}
	})
	if err != nil {
		return err
	}
	for i, text := range a.texts {
		if results[i], err = s.settledEvent(ctx, &a, text, &events[i]); err != nil {
			return err
		}
	}
	return nil
}

// settledEvent reads what became of an event: its letter, whether a sample counts and whether it bound, and the place.
func (s *Store) settledEvent(ctx context.Context, a *answer, text string, e *core.Settlement) (out core.Settled, err error) {
	if len(text) != 6 {
		return out, outage(ctx, errRecord)
	}
	var known bool
	if out.Status, known = statusOf(text[0]); !known {
		return out, outage(ctx, errStatus)
	}
	out.SampleCounts, out.Bound = text[1] == '1', text[2] == '1'
	if out.Account, err = s.accountAt(ctx, a.known, readPlace(text[3:])); err != nil {
		return out, err
	}
	if text[0] == 'u' || out.Account == "" {
		out.Account = unknownAccount(text[0], e)
	}
	return out, nil
}

// unknownAccount names the account of a lease that the server does not know, as its token does.
func unknownAccount(status byte, e *core.Settlement) string {
	if status == 'm' || e.Lease == (core.LeaseID{}) {
		return ""
	}
	return e.Account
}

// writeEvent writes an event as the script takes it.
func writeEvent(t *table, o *op, e *core.Settlement) {
	binds, cools := e.Bind != core.BindingKey{} && e.BindTTL > 0, e.Cool.Account != ""
	byRequest := e.Lease == core.LeaseID{}
	o.text = append(
		o.text, 'S', settleKinds[e.Kind], letterIf(e.Sample, 'm', '-'), letterIf(binds, 'b', '-'), letterIf(cools, 'c', '-'),
		letterIf(byRequest, 'q', '-'),
	)
	if byRequest {
		o.text = appendRequestKey(o.text, e.Request)
	} else {
		granted := int64(0)
		if !e.GrantedAt.IsZero() {
			granted = min(max(e.GrantedAt.UnixMicro(), 0), allMicros)
		}
		o.text = append(appendPlace(appendMicros(appendKey(o.text, e.Lease), granted), t.placeOf(e.Account)), e.Account...)
	}
	o.end()
	if binds {
		o.text = appendKey(o.text, e.Bind)
		o.end()
		o.add(life(e.BindTTL))
	}
	if cools {
		o.add(e.Cool.Account)
		o.add(e.Cool.Model)
		until, stands := deadline(&e.Cool)
		o.add(until)
		o.add(reason(e.Cool.Reason))
		o.add(stands)
	}
}

// settled gives the status of an event by its letter.
func settled(r *reply, status string) core.EventStatus {
	if len(status) == 1 {
		if out, known := statusOf(status[0]); known {
			return out
		}
	}
	r.fail(errStatus)
	return core.EventUnknown
}

func statusOf(letter byte) (status core.EventStatus, known bool) {
	switch letter {
	case 'a':
		return core.EventApplied, true
	case 'b':
		return core.EventAlreadyApplied, true
	case 'r':
		return core.EventAlreadyReleased, true
	case 'x':
		return core.EventExpired, true
	case 'u':
		return core.EventUnknown, true
	case 'm':
		return core.EventReleaseRecorded, true
	}
	return core.EventUnknown, false
}
