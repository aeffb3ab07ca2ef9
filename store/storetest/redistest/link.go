package redistest

import (
	"bufio"
	"net"
	"sync"
	"time"
)

const (
	// batchBytes means: a pipeline up to this size that a client writes at once is seen at once.
	batchBytes = 1 << 16
	// lateReplies means: how many replies a delay holds before the server has to wait.
	lateReplies = 1 << 12
)

// link is one connection of a client and the one to the server that goes with it.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	closed         chan struct{}

	// guarded by the proxy's lock
	counts      Counts
	outstanding []string // commands that wait for their reply, in order
	subscribed  bool
}

// arrival is a message of the server and when it came.
type arrival struct {
	message []byte
	at      time.Time
}

// run returns when the connection is over and its goroutines are too.
func (l *link) run() {
	queue := make(chan arrival, lateReplies)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		defer l.close()
		l.takeRequests()
	})
	// What a server says before it closes still reaches the client.
	pumps.Go(func() {
		defer close(queue)
		l.takeReplies(queue)
	})
	pumps.Go(func() {
		defer l.close()
		l.giveReplies(queue)
	})
	pumps.Wait()
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

func (l *link) takeRequests() {
	in := bufio.NewReaderSize(l.client, batchBytes)
	for {
		batch, names, err := readBatch(in)
		if err != nil {
			return
		}
		l.asked(names, len(batch))
		if !l.pass(requests, time.Time{}) {
			return
		}
		if _, err := l.server.Write(batch); err != nil {
			return
		}
	}
}

func (l *link) takeReplies(queue chan<- arrival) {
	in := bufio.NewReaderSize(l.server, batchBytes)
	for {
		message, err := readMessage(in, nil)
		if err != nil {
			return
		}
		select {
		case queue <- arrival{message, time.Now()}:
		case <-l.closed:
			return
		}
	}
}

func (l *link) giveReplies(queue <-chan arrival) {
	for reply := range queue {
		if !l.pass(replies, reply.at) || l.answered(reply.message) {
			return
		}
		if _, err := l.client.Write(reply.message); err != nil {
			return
		}
	}
}

// pass waits until a message that came at that time may go its way, and reports whether the connection is still there.
func (l *link) pass(w way, came time.Time) bool {
	for {
		wait, changed := l.proxy.obstacle(w, came)
		if changed == nil {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-l.closed:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

func (l *link) asked(names []string, bytes int) {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	c := &l.counts
	if c.Names == nil {
		c.Names = map[string]int{}
	}
	if len(l.outstanding) == 0 {
		c.RoundTrips++
	}
	c.Commands += len(names)
	c.Sent += int64(bytes)
	for _, name := range names {
		c.Names[name]++
		if subscribes(name) {
			l.subscribed = true
			continue
		}
		l.outstanding = append(l.outstanding, name)
	}
}

// answered counts a message of the server, and reports whether it is to be lost.
func (l *link) answered(message []byte) (lost bool) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.outstanding) > 0 && !pushed(message, l.subscribed) {
		name := l.outstanding[0]
		l.outstanding = l.outstanding[1:]
		if p.lose > 0 && (p.losing == nil || p.losing[name]) {
			p.lose--
			return true
		}
	}
	l.counts.Received += int64(len(message))
	return false
}
