package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
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
	// ends says where the arguments end in text; args are they.
	ends []int
	args []string
	// epoch is the one of the places in args.
	epoch string
	// fates are those that a take of what is bound needs; nil without.
	fates *coded
	// lives are those of a take's lease and of the bindings of its session and its response.
	lives [3]time.Duration
	// until is the time on the namespace's clock after which a take is late.
	until int64
	take  bool
	// away says that it is in a call; ops.mu guards it.
	away bool
	// loads says that the answer needs the loads, whatever it is.
	loads bool
	// done gets the answer, once; nobody may wait for it any more. Who sends it does nothing with the op after that.
	done  chan answer
	timer *time.Timer
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
	o.text, o.ends, o.args = o.text[:0], o.ends[:0], o.args[:0]
	o.fates, o.take, o.away, o.loads = nil, false, false, false
}

// written makes the arguments of what was written.
func (o *op) written() {
	text, from := string(o.text), 0
	for _, to := range o.ends {
		o.args = append(o.args, text[from:to])
		from = to
	}
}

// answer is what an operation's parts were answered, and what all of its call were.
type answer struct {
	// texts has one of each part.
	texts []string
	known *table
	now   int64
	loads string
	err   error
}

// errEpoch answers an operation whose places are of another epoch than the server's: it is to be written anew.
var errEpoch = errors.New("the server's memory goes on changing")

// ops collects what callers ask for at one instant. It waits for more only while a call is on its way.
type ops struct {
	// free are those that were answered.
	free sync.Pool

	// mu guards what follows.
	mu      sync.Mutex
	waiting []*op
	calls   int // under way
	going   int // operations in them
}

// due tells that what waits is to go now, beside so many calls that are under way: beside one, when enough waits.
func (o *ops) due(calls int) bool {
	return len(o.waiting) > 0 && (calls == 0 || calls == 1 && len(o.waiting) >= max(opsEnough, o.going))
}

// get gives one whose timer runs.
func (o *ops) get(patience time.Duration) *op {
	if free, ok := o.free.Get().(*op); ok {
		free.timer.Reset(patience)
		return free
	}
	return &op{done: make(chan answer, 1), timer: timer(patience)}
}

func (o *ops) put(answered *op) {
	answered.timer.Stop()
	o.free.Put(answered)
}

// do carries an operation of so many parts, at most opsMost, out together with those of other callers. build writes it.
// It waits for the answers until ctx ends or the budget is used up; what was sent by then may still be carried out.
func (s *Store) do(ctx context.Context, parts int, build func(t *table, o *op)) (a answer, err error) {
	patience := min(opsPatience, s.opts.Budget)
	asked, left := s.ops.get(patience), s.opts.Budget-patience
	for range epochMost {
		t := s.table.Load()
		asked.begin(t.epoch, parts)
		build(t, asked)
		asked.written()
		s.enqueue(asked)
		if a, err = s.await(ctx, asked, &left); err != nil {
			return a, err
		}
		if !errors.Is(a.err, errEpoch) {
			break
		}
	}
	s.ops.put(asked)
	if a.err != nil {
		return a, outage(ctx, a.err)
	}
	return a, nil
}

// await waits for an answer until ctx ends or the budget is used up, of which so much is left when the timer fires.
func (s *Store) await(ctx context.Context, asked *op, left *time.Duration) (answer, error) {
	for {
		select {
		case a := <-asked.done:
			return a, nil
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-asked.timer.C:
			if *left <= 0 {
				return answer{}, outage(ctx, context.DeadlineExceeded)
			}
			asked.timer.Reset(*left)
			*left = 0
			s.hurry(asked)
		}
	}
}

// hurry makes a call for what waits, unless an operation that has waited for long is in one.
func (s *Store) hurry(asked *op) {
	s.ops.mu.Lock()
	defer s.ops.mu.Unlock()
	if !asked.away && s.ops.calls < underWay {
		s.start()
	}
}

// start makes a call, unless the store is being closed. ops.mu is held.
func (s *Store) start() {
	if s.life.Err() == nil {
		s.ops.calls++
		s.running.Go(s.send)
	}
}

// enqueue lets an operation wait for a call, and makes one where that is due.
func (s *Store) enqueue(asked *op) {
	s.ops.mu.Lock()
	defer s.ops.mu.Unlock()
	s.ops.waiting = append(s.ops.waiting, asked)
	if s.ops.due(s.ops.calls) {
		s.start()
	}
}

// next appends what goes in the next call to batch; nothing when nothing waits, and the caller's call is over then.
func (o *ops) next(batch []*op, carried int, hurried bool) []*op {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.going -= carried
	if !hurried && !o.due(o.calls-1) {
		o.calls--
		return batch
	}
	n, parts := 0, 0
	for n < len(o.waiting) && (n == 0 || parts+o.waiting[n].parts <= opsMost) {
		parts += o.waiting[n].parts
		n++
	}
	if n == 0 {
		o.calls--
		return batch
	}
	o.going += n
	for _, next := range o.waiting[:n] {
		next.away = true
	}
	batch = append(batch, o.waiting[:n]...)
	o.waiting = slices.Delete(o.waiting, 0, n)
	return batch
}

// send sends what waits until nothing does.
func (s *Store) send() {
	var b batch
	for first := true; ; first = false {
		n := len(b.waiting)
		b.reset()
		if b.waiting = s.ops.next(b.waiting, n, first); len(b.waiting) == 0 {
			return
		}
		s.sendBatch(&b)
	}
}

// batch is what goes in one call.
type batch struct {
	waiting []*op
	// sent are those that the call that was answered carried.
	sent []*op
}

func (b *batch) reset() {
	clear(b.waiting)
	clear(b.sent)
	b.waiting, b.sent = b.waiting[:0], b.sent[:0]
}

// write appends the arguments of a call that knows the places of an epoch.
func (b *batch) write(epoch string, stale bool, args []string) []string {
	n := 8
	for _, o := range b.waiting {
		n += len(o.args)
	}
	args = slices.Grow(args, n)
	wants := len(args)
	args = append(args, "")
	b.sent = b.sent[:0]
	var fates coded
	var lives [3]time.Duration
	until := int64(allMicros)
	for _, o := range b.waiting {
		if o.epoch != epoch {
			continue
		}
		b.sent = append(b.sent, o)
		if o.fates != nil && (o.fates.known != fates.known || o.fates.others != fates.others) {
			fates = *o.fates
			args = append(args, "J"+fates.others+fates.known)
		}
		if o.take && o.lives != lives {
			lives = o.lives
			args = append(args, "G"+life(lives[0])+" "+life(lives[1])+" "+life(lives[2]))
		}
		if o.take {
			until = min(until, o.until)
		}
		args = append(args, o.args...)
		stale = stale || o.loads
	}
	args[wants] = string(appendMicros([]byte{letterIf(stale, 'l', '-')}, until))
	return args
}

// fail answers all with an error.
func (b *batch) fail(err error) {
	for _, o := range b.waiting {
		o.done <- answer{err: err}
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
	loads := r.text()
	texts := make([]string, 0, len(r.rows))
	for r.more() {
		texts = append(texts, r.text())
	}
	parts := 0
	for _, o := range b.sent {
		parts += o.parts
	}
	if len(texts) != parts || r.err != nil {
		b.fail(errors.Join(errAnswers, r.err))
		return
	}
	s.recent.keep(r.known, loads, s.clock.Now())
	for _, o := range b.waiting {
		if o.epoch != r.known.epoch {
			o.done <- answer{err: errEpoch}
		}
	}
	for _, o := range b.sent {
		n := o.parts
		o.done <- answer{texts: texts[:n:n], known: r.known, now: r.now, loads: loads}
		texts = texts[n:]
	}
}
