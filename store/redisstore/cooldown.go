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

// Cool sets a deadline. One that is over already sets nothing; when none stands then, the answer is zero.
func (s *Store) Cool(ctx context.Context, c core.Cooldown) (core.Cooldown, error) {
	r, err := s.call(ctx, s.scripts.cool, func(_ *table, args []string) []string {
		return append(args, c.Account, c.Model, micros(c.Until), reason(c.Reason))
	})
	if err != nil || !r.more() {
		return core.Cooldown{}, err
	}
	out := core.Cooldown{Account: c.Account, Model: c.Model, Until: moment(r.number()), Reason: decide.Reason(r.number())}
	return out, r.failure(ctx)
}

// Warm removes the deadline of the account, or of the model on it alone.
func (s *Store) Warm(ctx context.Context, account, model string) error {
	_, err := s.call(ctx, s.scripts.warm, func(_ *table, args []string) []string { return append(args, account, model) })
	return err
}

// coolingMost is about how many deadlines one call lists.
const coolingMost = 1000

// Cooling lists the deadlines that are not over.
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
			} else if c.Until.After(moment(r.now)) {
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

// readCooldown reads "length:account model" without the space, and "until reason".
func readCooldown(field, value string) (c core.Cooldown, ok bool) {
	length, names, ok := strings.Cut(field, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(names) {
		return c, false
	}
	until, why, ok := strings.Cut(value, " ")
	ends, err := strconv.ParseInt(until, 10, 64)
	code, wrong := strconv.ParseUint(why, 10, 8)
	if !ok || err != nil || wrong != nil {
		return c, false
	}
	return core.Cooldown{Account: names[:n], Model: names[n:], Until: moment(ends), Reason: decide.Reason(code)}, true
}
