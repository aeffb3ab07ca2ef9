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
	// jumped says that this is not what was expected of the server's clock.
	jumped bool
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

var errChanging = errors.New("the server's memory goes on changing")

var errShort = errors.New("the script's answer is shorter than it should be")

// call runs a script and gives its answer. build appends the script's own arguments for the places of a table; it is called
// again when the server's memory turns out to be another. The call ends with its budget, and the server does not carry out later what must not be late.
func (s *Store) call(ctx context.Context, script *rueidis.Lua, build func(t *table, args []string) []string) (*reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	asked := s.clock.Now()
	by := asked.Add(s.opts.Budget)
	for again := true; ; again = false {
		r, err := s.callOnce(bounded, by, script, build)
		if err == nil && r.jumped {
			err = s.rebase(bounded)
		}
		if err != nil {
			return nil, outage(ctx, err)
		}
		if !r.late() {
			return r, nil
		}
		// Where there is time left here, the server's clock is not where it was thought to be, and that is known now; or this process
		// stood still before it asked.
		now := s.clock.Now()
		if by = by.Add(s.heldUp(now.Sub(asked))); !again || !now.Before(by) {
			return nil, errLate
		}
	}
}

// callOnce calls in one epoch after another until one stands.
func (s *Store) callOnce(
	ctx context.Context, by time.Time, script *rueidis.Lua, build func(t *table, args []string) []string,
) (*reply, error) {
	for range epochMost {
		t := s.table.Load()
		r, err := s.run(ctx, script, build(t, s.headBy(t.epoch, by)))
		if err != nil {
			return nil, err
		}
		if r.now == 0 { // "epoch", and which
			if len(r.rows) > 2 {
				s.logger.Warn("keys of the namespace were lost, or changed by somebody else; what is in use is counted anew")
			}
			if err := s.registerAgain(ctx, t, t.life()); err != nil {
				return nil, err
			}
			continue
		}
		r.known = t
		return r, nil
	}
	return nil, errChanging
}

// late tells that the server would not carry a call out any more.
func (r *reply) late() bool {
	if len(r.rows) != 2 {
		return false
	}
	status, _ := r.rows[1].ToString()
	return status == "late"
}

// rebase learns the time anew after a jump of the server's clock or of this machine's. The namespace's clock goes on as if
// the server's had not jumped.
func (s *Store) rebase(ctx context.Context) error {
	s.rebasing.Lock()
	defer s.rebasing.Unlock()
	args := append(s.head(noEpoch), s.reckoning.micro(s.clock.Now()), life(s.opts.StoreLeaseTTL))
	r, err := s.run(ctx, s.scripts.rebase, args)
	if err == nil && r.jumped {
		now := s.clock.Now()
		s.logger.Warn("this machine's clock and the store's have parted; the store's holds", "by", moment(r.now).Sub(now))
		s.reckoning.last.Store(&sighting{at: now, micros: r.now})
	}
	return err
}

// scriptArgs is how many arguments every script takes.
const scriptArgs = 5

// head gives the arguments that every script takes.
func (s *Store) head(epoch string) []string {
	return s.headBy(epoch, s.clock.Now().Add(s.opts.Budget))
}

func (s *Store) headBy(epoch string, by time.Time) []string {
	args := make([]string, scriptArgs, 24)
	args[0] = s.inTime(by)
	args[1], args[2], args[3] = epoch, s.replica, s.publish
	args[4] = strconv.FormatInt(int64((s.opts.MarkTTL+time.Millisecond-1)/time.Millisecond), 10)
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
		switch _, told := rueidis.IsRedisErr(err); {
		case refuses(err):
			s.conn.renew(client)
		case !told && !errors.Is(err, context.Canceled):
			s.conn.doubt(client)
		}
		return nil, s.conn.doors.hideIn(err)
	}
	s.conn.heard()
	if len(rows) == 0 {
		return nil, errShort
	}
	r := &reply{rows: rows, at: 1}
	if r.now, err = rows[0].AsInt64(); err == nil {
		r.jumped = s.reckoning.saw(r.now, asked, s.clock.Now())
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
