package redisstore

import (
	"context"

	"usher.internal/core"
)

// settleKinds are the letters of core's kinds.
var settleKinds = [...]string{
	core.SettleFirstToken: "t", core.SettleFinished: "f", core.SettleUnused: "u", core.SettleSwitched: "s", core.SettleWithdrawn: "w",
}

var flags = [2]string{"0", "1"}

func bit(set bool) int {
	if set {
		return 1
	}
	return 0
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
	n := len(events)
	replies, err := s.do(ctx, n, false, func(_ *table, i int, args []string) []string {
		return appendEvent(append(args, "S"), &events[i])
	})
	if err != nil {
		return err
	}
	for i, r := range replies {
		status, place := r.text(), r.number()
		sampled, bound := r.number() == 1, r.number() == 1
		account, err := s.accountAt(ctx, r.known, place)
		if err != nil {
			return err
		}
		if status == "u" || account == "" {
			account = unknownAccount(status, &events[i])
		}
		results[i] = core.Settled{Status: settled(r, status), Account: account, SampleCounts: sampled, Bound: bound}
		if err := r.failure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unknownAccount names the account of a lease that the server does not know, as its token does.
func unknownAccount(status string, e *core.Settlement) string {
	if status == "m" || e.Lease == (core.LeaseID{}) {
		return ""
	}
	return e.Account
}

func appendEvent(args []string, e *core.Settlement) []string {
	lease := keyOrNone(e.Lease)
	return append(
		args, settleKinds[e.Kind], lease, e.Account, micros(e.GrantedAt), requestKey(e.Request), flags[bit(e.Sample)],
		keyOrNone(e.Bind), life(e.BindTTL), e.Cool.Account, e.Cool.Model, micros(e.Cool.Until), reason(e.Cool.Reason),
	)
}

// settled gives the status of an event by its letter.
func settled(r *reply, status string) core.EventStatus {
	switch status {
	case "a":
		return core.EventApplied
	case "b":
		return core.EventAlreadyApplied
	case "r":
		return core.EventAlreadyReleased
	case "x":
		return core.EventExpired
	case "u":
		return core.EventUnknown
	case "m":
		return core.EventReleaseRecorded
	}
	r.fail(errStatus)
	return core.EventUnknown
}
