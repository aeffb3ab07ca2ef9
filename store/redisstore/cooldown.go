package redisstore

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"usher.internal/core"
	"usher.internal/core/decide"
)

func reason(r decide.Reason) string { return strconv.Itoa(int(r)) }

// never is a deadline's end that stands for none, as scripts take it.
const never = 1 << 53

// deadline gives a cooldown's deadline as scripts take it, and until when it stands.
func deadline(c *core.Cooldown) (until, stands string) {
	ends := [2]int64{never, never}
	if !c.Until.IsZero() {
		ends = [2]int64{c.Until.UnixMicro(), c.Until.Add(max(c.Keep, 0)).UnixMicro()}
		for i := range ends {
			ends[i] = min(max(ends[i], 0), never-1)
		}
	}
	return strconv.FormatInt(ends[0], 10), strconv.FormatInt(ends[1], 10)
}

// readDeadline is the reverse.
func readDeadline(c *core.Cooldown, until, stands int64) {
	if until < never {
		c.Until, c.Keep = moment(until), moment(stands).Sub(moment(until))
	}
}

// Cool sets a deadline. One that would not stand any more sets nothing; when none stands then, the answer is zero.
func (s *Store) Cool(ctx context.Context, c core.Cooldown) (core.Cooldown, error) {
	r, err := s.call(ctx, s.scripts.cool, func(_ *table, args []string) []string {
		until, stands := deadline(&c)
		return append(args, c.Account, c.Model, until, reason(c.Reason), stands)
	})
	if err != nil || !r.more() {
		return core.Cooldown{}, err
	}
	out := core.Cooldown{Account: c.Account, Model: c.Model}
	until := r.number()
	out.Reason = decide.Reason(r.number())
	readDeadline(&out, until, r.number())
	return out, r.failure(ctx)
}

// Warm removes the deadline of the account, or of the model on it alone.
func (s *Store) Warm(ctx context.Context, c core.Cooldown) error {
	_, err := s.call(ctx, s.scripts.warm, func(_ *table, args []string) []string {
		until, _ := deadline(&c)
		return append(args, c.Account, c.Model, until)
	})
	return err
}

// coolingMost is about how many deadlines one call lists.
const coolingMost = 1000

// Cooling lists the deadlines that stand.
func (s *Store) Cooling(ctx context.Context) ([]core.Cooldown, error) {
	var list []core.Cooldown
	for cursor := ""; cursor != "0"; {
		r, err := s.call(ctx, s.scripts.cooling, func(_ *table, args []string) []string {
			return append(args, cmp.Or(cursor, "0"), strconv.Itoa(coolingMost))
		})
		if err != nil {
			return nil, err
		}
		cursor = r.text()
		for r.more() {
			field, value := r.text(), r.text()
			if c, ok := readCooldown(field, value); !ok {
				r.fail(errRecord)
			} else if c.Until.IsZero() || c.Until.Add(c.Keep).After(moment(r.now)) {
				list = append(list, c)
			}
		}
		if err := r.failure(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b core.Cooldown) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Model, b.Model))
	})
	return slices.CompactFunc(list, func(a, b core.Cooldown) bool { return a.Account == b.Account && a.Model == b.Model }), nil
}

// readCooldown reads "length:account model" without the space, and "until reason stands".
func readCooldown(field, value string) (c core.Cooldown, ok bool) {
	length, names, ok := strings.Cut(field, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(names) {
		return c, false
	}
	parts := strings.Split(value, " ")
	if len(parts) != 3 {
		return c, false
	}
	until, err := strconv.ParseInt(parts[0], 10, 64)
	code, wrong := strconv.ParseUint(parts[1], 10, 8)
	stands, bad := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || wrong != nil || bad != nil || stands < until {
		return c, false
	}
	c = core.Cooldown{Account: names[:n], Model: names[n:], Reason: decide.Reason(code)}
	readDeadline(&c, until, stands)
	return c, true
}
