package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// opsMost bounds what travels in one call, and so for how long it holds the server.
	opsMost = 64
	// underWay is how many such calls are on their way at most. A call costs the server as much as several operations do, so
	// what is asked for while one is on its way goes together, unless it is opsEnough and as much as that one carries, or has to
	// wait for opsPatience, as where the server is far away.
	underWay    = 4
	opsEnough   = 16
	opsPatience = 2 * time.Millisecond
)

// op is one take, or the events of one call, or a look at the loads, among others of the same instant. It is written while the caller waits, of
// whose memory it keeps nothing.
type op struct {
	// parts is how many answers it has: events stay together and in order.
	parts int
	text  []byte
	// ends says where the arguments end in text.
	ends []int
	// epoch is the one of the places in text.
	epoch string
	// fates are those that a take of what is bound needs; nil without.
	fates *coded
	// lives are those of a take's lease and of the bindings of its session and its response.
	lives [3]time.Duration
	// until is the time on the namespace's clock after which a take is late.
	until int64
	take  bool
	// loads says that the answer needs the loads, whatever it is.
	loads bool
	// due is when the budget is used up, on the machine's clock; 0 once it is answered. Who sets it to 0 sends the answer.
	due atomic.Int64
	// done gets the answer, once; nobody may wait for it any more. Who sends it does nothing with the op after that.
	done chan answer
}

// give answers, unless that was done.
func (o *op) give(a *answer) {
	if o.due.Swap(0) != 0 {
		o.done <- *a
	}
}

// end ends an argument.
func (o *op) end() { o.ends = append(o.ends, len(o.text)) }

// add appends an argument.
func (o *op) add(text string) {
	o.text = append(o.text, text...)
	o.end()
}

// begin makes the op ready to be written for places of an epoch.
func (o *op) begin(epoch string, parts int) {
	o.parts, o.epoch = parts, epoch
	o.text, o.ends = o.text[:0], o.ends[:0]
	o.fates, o.take, o.loads = nil, false, false
}

// answer is what an operation's parts were answered, and what all of its call were.
type answer struct {
	// texts has one of each part.
	texts []string
	known *table
	now   int64
	// loads is nil when nobody asked for them.
	loads *loads
	err   error
}

// errEpoch answers an operation whose places are of another epoch than the server's: it is to be written anew.
var errEpoch = errors.New("the server's memory goes on changing")

// ops collects what callers ask for at one instant. It waits for more only while a call is on its way.
type ops struct {
	// free are those that were answered.
	free sync.Pool
	// every is after how long the watch looks again, and an operation has waited for long.
	every time.Duration
	// kick tells the watch that there is something to watch.
	kick chan struct{}

	// mu guards what follows.
	mu      sync.Mutex
	waiting []*op
	away    []*batch // in calls
	spare   []*batch // of calls that are over
	going   int      // operations in those that are away
	// watched says that the watch looks from time to time, asked that something was asked for since it did last, which was at looked.
	watched, asked bool
	looked         int64
	held           standstills
	closed         bool
}

// due tells that what waits is to go now, beside so many calls that are under way: beside one, when enough waits.
func (o *ops) due(calls int) bool {
	return len(o.waiting) > 0 && (calls == 0 || calls == 1 && len(o.waiting) >= max(opsEnough, o.going))
}

func (o *ops) get() *op {
	if free, ok := o.free.Get().(*op); ok {
		return free
	}
	return &op{done: make(chan answer, 1)}
}

// do carries an operation of so many parts, at most opsMost, out together with those of other callers. build writes it.
// It waits for the answers until ctx ends or what is left of the budget is used up; what was sent by then may still be carried out.
func (s *Store) do(ctx context.Context, left time.Duration, parts int, build func(t *table, o *op)) (a answer, err error) {
	asked, now := s.ops.get(), machineTime()
	due := now + int64(left)
	for range epochMost {
		t := s.table.Load()
		asked.begin(t.epoch, parts)
		build(t, asked)
		asked.due.Store(due)
		s.enqueue(asked, now)
		select {
		case a = <-asked.done:
		case <-ctx.Done():
			return a, ctx.Err()
		}
		if !errors.Is(a.err, errEpoch) {
			break
		}
	}
	if errors.Is(a.err, errBudget) { // it may be in a call still
		return a, outage(ctx, a.err)
	}
	s.ops.free.Put(asked)
	if a.err != nil {
		return a, outage(ctx, a.err)
	}
	return a, nil
}

// enqueue lets an operation wait for a call, and makes one where that is due.
func (s *Store) enqueue(asked *op, now int64) {
	o := &s.ops
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		asked.give(&answer{err: errClosed})
		return
	}
	o.waiting, o.asked = append(o.waiting, asked), true
	if !o.watched {
		o.watched, o.looked = true, now
		o.kick <- struct{}{}
	}
	if o.due(len(o.away)) {
		s.start()
	}
}

// start makes a call, unless the store is being closed. ops.mu is held.
func (s *Store) start() {
	if s.life.Err() == nil {
		b := s.ops.batch()
		s.ops.away = append(s.ops.away, b)
		s.running.Go(func() { s.send(b) })
	}
}

func (o *ops) batch() *batch {
	last := len(o.spare) - 1
	if last < 0 {
		return &batch{}
	}
	b := o.spare[last]
	o.spare = o.spare[:last]
	return b
}

// next puts in a batch what goes in its next call. When nothing does it is over.
func (o *ops) next(b *batch, hurried bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.going -= len(b.waiting)
	b.reset()
	n, parts := 0, 0
	for (hurried || o.due(len(o.away)-1)) && n < len(o.waiting) && (n == 0 || parts+o.waiting[n].parts <= opsMost) {
		parts += o.waiting[n].parts
		n++
	}
	if n == 0 {
		o.away, o.spare = slices.DeleteFunc(o.away, func(other *batch) bool { return other == b }), append(o.spare, b)
		return false
	}
	o.going += n
	b.waiting = append(b.waiting, o.waiting[:n]...)
	o.waiting = slices.Delete(o.waiting, 0, n)
	return true
}

// send sends what waits until nothing does.
func (s *Store) send(b *batch) {
	for hurried := true; s.ops.next(b, hurried); hurried = false {
		s.sendBatch(b)
	}
}

// batch is what goes in one call.
type batch struct {
	// waiting are its operations; ops.mu guards the writing of it.
	waiting []*op
	// sent are those that the call that was answered carried, text is what they say.
	sent []*op
	text []byte
}

func (b *batch) reset() {
	clear(b.waiting)
	clear(b.sent)
	b.waiting, b.sent = b.waiting[:0], b.sent[:0]
}

// write appends the arguments of a call that knows the places of an epoch.
func (b *batch) write(epoch string, stale bool, args []string) []string {
	b.sent, b.text = b.sent[:0], b.text[:0]
	n, until := 8, int64(allMicros)
	for _, o := range b.waiting {
		if o.epoch != epoch {
			continue
		}
		b.sent, b.text = append(b.sent, o), append(b.text, o.text...)
		n += len(o.ends)
		stale = stale || o.loads
		if o.take {
			until = min(until, o.until)
		}
	}
	args = append(slices.Grow(args, n), string(appendMicros([]byte{letterIf(stale, 'l', '-')}, until)))
	var fates coded
	var lives [3]time.Duration
	text := string(b.text)
	for _, o := range b.sent {
		if o.fates != nil && (o.fates.known != fates.known || o.fates.others != fates.others) {
			fates = *o.fates
			args = append(args, "J"+fates.others+fates.known)
		}
		if o.take && o.lives != lives {
			lives = o.lives
			args = append(args, "G"+life(lives[0])+" "+life(lives[1])+" "+life(lives[2]))
		}
		from := 0
		for _, to := range o.ends {
			args = append(args, text[from:to])
			from = to
		}
		text = text[from:]
	}
	return args
}

// fail answers all with an error.
func (b *batch) fail(err error) {
	a := answer{err: err}
	for _, o := range b.waiting {
		o.give(&a)
	}
}

var errAnswers = errors.New("the script answered for another number of operations than it was asked for")

// sendBatch carries out a batch and hands the answers out.
func (s *Store) sendBatch(b *batch) {
	stale := s.opts.LoadView == Cached && s.recent.age(s.clock.Now()) > refreshAfter
	r, err := s.call(s.life, s.scripts.ops, func(t *table, args []string) []string { return b.write(t.epoch, stale, args) })
	if err != nil {
		b.fail(err)
		return
	}
	read := s.recent.keep(r.known, r.text(), s.clock.Now())
	parts := 0
	for _, o := range b.sent {
		parts += o.parts
	}
	texts := make([]string, 0, parts)
	for r.more() {
		texts = append(texts, r.text())
	}
	if len(texts) != parts || r.err != nil {
		b.fail(errors.Join(errAnswers, r.err))
		return
	}
	a := answer{err: errEpoch}
	for _, o := range b.waiting {
		if o.epoch != r.known.epoch {
			o.give(&a)
		}
	}
	a = answer{known: r.known, now: r.now, loads: read}
	for _, o := range b.sent {
		n := o.parts
		a.texts, texts = texts[:n:n], texts[n:]
		o.give(&a)
	}
}
