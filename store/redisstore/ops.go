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

// op is one take, or one event of a lease, among others of the same instant.
type op struct {
	// args are the kind and its arguments. They are written while the caller waits, whose memory they are made of.
	args []string
	// epoch is the one of the places in args.
	epoch string
	// loads says that the answer needs the loads.
	loads bool
	// done gets the answer, once; nobody may wait for it any more.
	done chan answer
}

type answer struct {
	reply *reply
	err   error
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

// do carries operations out together with those of other callers. build appends the kind and arguments of number i.
// It waits for the answers until ctx ends or the budget is used up; what was sent by then may still be carried out.
func (s *Store) do(ctx context.Context, n int, loads bool, build func(t *table, i int, args []string) []string) ([]*reply, error) {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	var replies []*reply
	err := errEpoch
	for again := 0; again < epochMost && errors.Is(err, errEpoch); again++ {
		t := s.table.Load()
		asked := make([]*op, n)
		for i := range asked {
			asked[i] = &op{args: build(t, i, make([]string, 0, 17)), epoch: t.epoch, loads: loads, done: make(chan answer, 1)}
		}
		s.enqueue(asked)
		replies, err = answers(bounded, asked)
	}
	if err != nil {
		return nil, outage(ctx, err)
	}
	return replies, nil
}

// enqueue lets operations wait for a call, and makes one unless enough are under way.
func (s *Store) enqueue(asked []*op) {
	s.ops.mu.Lock()
	defer s.ops.mu.Unlock()
	s.ops.waiting = append(s.ops.waiting, asked...)
	if s.ops.calls < underWay && s.life.Err() == nil {
		s.ops.calls++
		s.running.Go(s.send)
	}
}

// answers waits for all; the first error ends it.
func answers(ctx context.Context, asked []*op) ([]*reply, error) {
	replies := make([]*reply, len(asked))
	for i, o := range asked {
		select {
		case a := <-o.done:
			if a.err != nil {
				return nil, a.err
			}
			replies[i] = a.reply
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return replies, nil
}

// send sends what waits until nothing does.
func (s *Store) send() {
	for {
		s.ops.mu.Lock()
		n := min(len(s.ops.waiting), opsMost)
		if n == 0 {
			s.ops.calls--
			s.ops.mu.Unlock()
			return
		}
		batch := s.ops.waiting[:n:n]
		s.ops.waiting = s.ops.waiting[n:]
		s.ops.mu.Unlock()
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
	r, err := s.call(s.life, s.scripts.ops, func(t *table, args []string) []string {
		args = append(args, "")
		sent = sent[:0]
		for _, o := range batch {
			if o.epoch != t.epoch {
				continue
			}
			sent = append(sent, o)
			args = append(args, o.args...)
			if o.loads {
				args[scriptArgs] = "l"
			}
		}
		return args
	})
	if err != nil {
		return err
	}
	loads := r.text()
	if len(r.rows) != r.at+len(sent) || r.err != nil {
		return errors.Join(errAnswers, r.err)
	}
	for i, o := range sent {
		rows, err := r.rows[r.at+i].ToArray()
		o.done <- answer{reply: &reply{rows: rows, now: r.now, known: r.known, loads: loads}, err: err}
	}
	for _, o := range batch {
		if o.epoch != r.known.epoch {
			o.done <- answer{err: errEpoch}
		}
	}
	return nil
}
