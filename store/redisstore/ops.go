package redisstore

import (
	"context"
	"errors"
	"sync"
)

const (
	// opsMost bounds what travels in one call, and so for how long it holds the server.
	opsMost = 64
	// underWay is how many such calls are on their way at most. One runs while the next is written and the last one's
	// answers are read; what is asked for meanwhile goes together.
	underWay = 2
)

// op is one take, or the events of one call, among others of the same instant.
type op struct {
	// parts is how many answers it has: events stay together and in order.
	parts int
	// args are the kind and its arguments, of each part. They are written while the caller waits, whose memory they are made of.
	args []string
	// epoch is the one of the places in args.
	epoch string
	// loads says that the answer needs the loads.
	loads bool
	// done gets the answer, once; nobody may wait for it any more.
	done chan answer
}

type answer struct {
	replies []*reply
	err     error
}

// errEpoch answers an operation whose places are of another epoch than the server's: it is to be written anew.
var errEpoch = errors.New("the server's memory goes on changing")

// ops collects what callers ask for at one instant. It never waits for more to come.
type ops struct {
	// mu guards what follows.
	mu      sync.Mutex
	waiting []*op
	calls   int // under way
}

// do carries an operation of n parts, at most opsMost, out together with those of other callers. build appends the kind and arguments of number i.
// It waits for the answers until ctx ends or the budget is used up; what was sent by then may still be carried out.
func (s *Store) do(ctx context.Context, n int, loads bool, build func(t *table, i int, args []string) []string) ([]*reply, error) {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	var replies []*reply
	err := errEpoch
	for again := 0; again < epochMost && errors.Is(err, errEpoch); again++ {
		t := s.table.Load()
		asked := &op{parts: n, args: make([]string, 0, 18*n), epoch: t.epoch, loads: loads, done: make(chan answer, 1)}
		for i := range n {
			asked.args = build(t, i, asked.args)
		}
		s.enqueue(asked)
		select {
		case a := <-asked.done:
			replies, err = a.replies, a.err
		case <-bounded.Done():
			err = bounded.Err()
		}
	}
	if err != nil {
		return nil, outage(ctx, err)
	}
	return replies, nil
}

// enqueue lets an operation wait for a call, and makes one unless enough are under way.
func (s *Store) enqueue(asked *op) {
	s.ops.mu.Lock()
	defer s.ops.mu.Unlock()
	s.ops.waiting = append(s.ops.waiting, asked)
	if s.ops.calls < underWay && s.life.Err() == nil {
		s.ops.calls++
		s.running.Go(s.send)
	}
}

// next takes out what goes in the next call; none when nothing waits, and the caller's call is over then.
func (o *ops) next() []*op {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, parts := 0, 0
	for n < len(o.waiting) && (n == 0 || parts+o.waiting[n].parts <= opsMost) {
		parts += o.waiting[n].parts
		n++
	}
	if n == 0 {
		o.calls--
		return nil
	}
	batch := o.waiting[:n:n]
	o.waiting = o.waiting[n:]
	return batch
}

// send sends what waits until nothing does.
func (s *Store) send() {
	for batch := s.ops.next(); batch != nil; batch = s.ops.next() {
		if err := s.sendBatch(batch); err != nil {
			for _, o := range batch {
				o.done <- answer{err: err}
			}
		}
	}
}

var errAnswers = errors.New("the script answered for another number of operations than it was asked for")

// sendBatch carries out a batch and hands the answers out; on an error it has handed out none.
func (s *Store) sendBatch(batch []*op) error {
	var sent []*op
	stale := s.opts.LoadView == Cached && s.recent.age(s.clock.Now()) > refreshAfter
	r, err := s.call(s.life, s.scripts.ops, func(t *table, args []string) []string {
		args = append(args, "")
		sent = sent[:0]
		for _, o := range batch {
			if o.epoch != t.epoch {
				continue
			}
			sent = append(sent, o)
			args = append(args, o.args...)
			if o.loads || stale {
				args[scriptArgs] = "l"
			}
		}
		return args
	})
	if err != nil {
		return err
	}
	loads := r.text()
	parts := 0
	for _, o := range sent {
		parts += o.parts
	}
	if len(r.rows) != r.at+parts || r.err != nil {
		return errors.Join(errAnswers, r.err)
	}
	s.recent.keep(r.known, loads, s.clock.Now())
	for _, o := range sent {
		a := answer{replies: make([]*reply, o.parts)}
		for i := range a.replies {
			rows, err := r.rows[r.at].ToArray()
			r.at++
			a.replies[i], a.err = &reply{rows: rows, now: r.now, known: r.known, loads: loads}, errors.Join(a.err, err)
		}
		o.done <- a
	}
	for _, o := range batch {
		if o.epoch != r.known.epoch {
			o.done <- answer{err: errEpoch}
		}
	}
	return nil
}
