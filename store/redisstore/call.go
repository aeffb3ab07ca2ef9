package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"usher.internal/core"
)

// errLate answers a take whose time had passed when the server came to it.
var errLate = &lateError{}

// lateError is context.DeadlineExceeded, told by the server.
type lateError struct{}

// Error says that it was the server that found the take late.
func (*lateError) Error() string { return "redisstore: the take's time had passed" }

// Is tells that it is a deadline's error.
func (*lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// epochMost bounds how often a call begins anew because the server's memory did.
const epochMost = 3

// reply is what a script answered, after the time.
type reply struct {
	// known has the places that the script was called with.
	known *table
	rows  []rueidis.RedisMessage
	// now is the server's time, in microseconds.
	now int64
	// loads are those of an answer of ops, where they were wanted.
	loads string
	// at is the place of the next.
	at  int
	err error
}

func (r *reply) more() bool { return r.err == nil && r.at < len(r.rows) }

func (r *reply) text() string {
	if r.at >= len(r.rows) {
		r.fail(errShort)
		return ""
	}
	m := &r.rows[r.at]
	r.at++
	if m.IsInt64() {
		n, _ := m.AsInt64()
		return strconv.FormatInt(n, 10)
	}
	s, err := m.ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		r.fail(err)
	}
	return s
}

func (r *reply) number() int64 {
	if r.at >= len(r.rows) {
		r.fail(errShort)
		return 0
	}
	n, err := r.rows[r.at].AsInt64()
	r.at++
	if err != nil {
		r.fail(err)
	}
	return n
}

func (r *reply) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// failure is what reading the answer failed with.
func (r *reply) failure(ctx context.Context) error {
	if r.err == nil {
		return nil
	}
	return outage(ctx, r.err)
}

var errShort = errors.New("the script's answer is shorter than it should be")

// call runs a script and gives its answer. build appends the script's own arguments for the places of a table; it is called
// again when the server's memory turns out to be another. The call ends with its budget.
func (s *Store) call(ctx context.Context, script *rueidis.Lua, build func(t *table, args []string) []string) (*reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	for range epochMost {
		t := s.table.Load()
		r, err := s.run(bounded, script, build(t, s.head(t.epoch)))
		if err != nil {
			return nil, outage(ctx, err)
		}
		if r.now == 0 { // "epoch", and which
			if err := s.registerAgain(bounded, t); err != nil {
				return nil, outage(ctx, err)
			}
			continue
		}
		r.known = t
		return r, nil
	}
	return nil, outage(ctx, errors.New("the server's memory goes on changing"))
}

// scriptArgs is how many arguments every script takes.
const scriptArgs = 5

// head gives the arguments that every script takes.
func (s *Store) head(epoch string) []string {
	args := make([]string, scriptArgs, 24)
	if s.opts.fakeNow != nil {
		args[0] = micros(s.opts.fakeNow())
	}
	args[1], args[2], args[3] = epoch, s.replica, s.publish
	args[4] = strconv.FormatInt(s.opts.MarkTTL.Microseconds(), 10)
	return args
}

// run runs a script once.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, args []string) (*reply, error) {
	client, err := s.conn.get()
	if err != nil {
		return nil, err
	}
	asked := s.clock.Now()
	rows, err := script.Exec(ctx, client, s.prefix, args).ToArray()
	if err != nil {
		if refuses(err) {
			s.conn.renew(client)
		}
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errShort
	}
	r := &reply{rows: rows, at: 1}
	if r.now, err = rows[0].AsInt64(); err == nil {
		s.saw(r.now, asked)
	}
	return r, nil
}

// refuses tells that the server is no master any more.
func refuses(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(e.Error(), "READONLY")
}

// outage turns an error of the server or the way to it into core's; the caller's own end stays what it is.
func outage(ctx context.Context, err error) error {
	if own := ctx.Err(); own != nil {
		return own
	}
	var known *core.Error
	if errors.As(err, &known) {
		return err
	}
	return &core.Error{Kind: core.KindStoreUnavailable, Text: "redis", Err: err}
}

// micros gives a time as scripts take it; the zero time is "0".
func micros(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}

// life gives a duration as scripts take it: whole microseconds, no less than asked for.
func life(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return strconv.FormatInt(int64((d+time.Microsecond-1)/time.Microsecond), 10)
}

// moment gives a time for answers.
func moment(micros int64) time.Time { return time.UnixMicro(micros) }

// saw takes the server's time down that a call brought.
func (s *Store) saw(micros int64, asked time.Time) {
	// The answer was made between asking and now; the middle is the best guess.
	now := s.clock.Now()
	middle := asked.Add(now.Sub(asked) / 2)
	s.skew.Store(int64(moment(micros).Sub(middle)))
}
