package redisstore

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// apart means: by how much the server's clock and what a replica expects of it differ when one of them has jumped.
	// The scripts have it too.
	apart = 5 * time.Second
	// drift means: of so many parts of time a clock may lose or gain one.
	drift = 1000
	// noMicros and allMicros mean: earlier and later than any time, in microseconds.
	noMicros, allMicros = 0, 9_999_999_999_999_999
)

// sighting is what a reply told of the namespace's clock.
type sighting struct {
	// at is this machine's time when the clock showed micros; it may be wrong by so much.
	at     time.Time
	micros int64
	wrong  time.Duration
}

// reckoning says what the namespace's clock shows. It goes on by this machine's monotonic clock, so that a jump of
// the machine's own date is none here.
type reckoning struct {
	last atomic.Pointer[sighting]
}

// micros gives what the clock shows at a time; false when it was never seen.
func (r *reckoning) micros(at time.Time) (int64, bool) {
	last := r.last.Load()
	if last == nil {
		return 0, false
	}
	return last.micros + at.Sub(last.at).Microseconds(), true
}

// saw takes a reply's time down, unless what is known is more exact. It reports whether one of the clocks has jumped;
// such a time is not taken down.
func (r *reckoning) saw(micros int64, asked, now time.Time) (jumped bool) {
	// The answer was made between asking and now.
	half := now.Sub(asked) / 2
	next := &sighting{at: asked.Add(half), micros: micros, wrong: half}
	last := r.last.Load()
	if last == nil {
		r.last.Store(next)
		return false
	}
	gone := next.at.Sub(last.at)
	off := time.Duration(micros-last.micros)*time.Microsecond - gone
	if off.Abs() > apart+half {
		return true
	}
	known := last.wrong + gone.Abs()/drift
	if half <= known || off.Abs() > half+known {
		r.last.Store(next)
	}
	return false
}

// inTime gives the scripts' first argument: until when and from when a call may be carried out that is to end by a time.
func (s *Store) inTime(by time.Time) string {
	from, until := int64(noMicros), int64(allMicros)
	if at, ok := s.reckoning.micros(by); ok {
		from, until = max(at-(s.opts.Budget+apart).Microseconds(), noMicros), min(at, allMicros)
	}
	text := appendMicros(appendMicros(make([]byte, 0, 48), until), from)
	if s.opts.fakeNow != nil {
		text = append(text, micros(s.opts.fakeNow())...)
	}
	return string(text)
}

// micro gives a time of this machine on the namespace's clock, as scripts take it; "0" when that is not known.
func (r *reckoning) micro(at time.Time) string {
	n, ok := r.micros(at)
	if !ok || n <= 0 || n > math.MaxInt64/2 {
		return "0"
	}
	return strconv.FormatInt(n, 10)
}

// until gives it as what must not be exceeded; later than any time when it is not known.
func (r *reckoning) until(at time.Time) int64 {
	n, ok := r.micros(at)
	if !ok || n <= 0 || n > allMicros {
		n = allMicros
	}
	return n
}

// appendMicros writes a time in 16 digits.
func appendMicros(b []byte, micros int64) []byte {
	for below := int64(1e15); below > max(micros, 1); below /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, micros, 10)
}
