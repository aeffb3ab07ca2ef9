package redistest

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"usher.internal/store/storetest"
)

// Proxy stands between clients and a server that speak plainly, counts what they say, and loses it when told to.
// Whatever it does about messages it does about whole ones.
type Proxy struct {
	t      storetest.TB
	target string
	port   int

	mu       sync.Mutex // guards what follows
	listener net.Listener
	links    []*link // all there have been
	held     [2]bool
	delay    time.Duration
	changed  chan struct{} // closed and made anew when held or delay change
	lose     int
	losing   map[string]bool // nil is every command

	going sync.WaitGroup // accepts and links
}

// forever means: longer than any test.
const forever = 24 * time.Hour

// way is a direction of messages.
type way int

const (
	requests way = iota
	replies
)

// NewProxy gives a proxy before a server's address, or before its unix socket. The test's end closes it.
func NewProxy(t storetest.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, changed: make(chan struct{})}
	t.Cleanup(func() {
		p.Cut()
		p.going.Wait()
	})
	var err error
	for range portTries {
		if p.port, err = freePort(); err != nil {
			break
		}
		if err = p.listen(); err == nil {
			break
		}
	}
	check(t, err)
	return p
}

// Addr gives the address for clients.
func (p *Proxy) Addr() string { return address(p.port) }

func (p *Proxy) listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", p.Addr())
	if err != nil {
		return err
	}
	p.listener = l
	p.going.Go(func() { p.accept(l) })
	return nil
}

// accept ends with its listener.
func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.going.Go(func() { p.serve(client, l) })
	}
}

func (p *Proxy) serve(client net.Conn, l net.Listener) {
	network := "tcp"
	if strings.HasPrefix(p.target, "/") {
		network = "unix"
	}
	dial := net.Dialer{Timeout: doLimit}
	server, err := dial.DialContext(context.Background(), network, p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	one := &link{proxy: p, client: client, server: server, closed: make(chan struct{})}
	one.counts.Connections = 1
	p.mu.Lock()
	cut := p.listener != l
	if !cut {
		p.links = append(p.links, one)
	}
	p.mu.Unlock()
	if cut {
		one.close()
		return
	}
	one.run()
}

// Counts gives what all connections have counted so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := Counts{Names: map[string]int{}}
	for _, l := range p.links {
		sum.add(&l.counts)
	}
	return sum
}

// PerConnection gives what each connection has counted so far, in the order in which they came.
func (p *Proxy) PerConnection() []Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	var each []Counts
	for _, l := range p.links {
		each = append(each, l.counts.clone())
	}
	return each
}

// Cut ends every connection and refuses new ones, until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for _, l := range p.links {
		l.close()
	}
}

// Break ends every connection; new ones are taken.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.close()
	}
}

// BlackHole takes connections and requests and passes nothing, either way. Mend passes on what came meanwhile, as a
// network does that is whole again.
func (p *Proxy) BlackHole() {
	p.HoldRequests()
	p.HoldReplies()
}

// HoldRequests keeps requests from the server until Mend: they run late.
func (p *Proxy) HoldRequests() { p.hold(requests) }

// HoldReplies keeps replies from the clients until Mend: what they are about has run.
func (p *Proxy) HoldReplies() { p.hold(replies) }

func (p *Proxy) hold(w way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[w] = true
}

// obstacle gives how long a message has to wait and what may end that earlier, nil when it may pass.
func (p *Proxy) obstacle(w way, came time.Time) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[w] {
		return forever, p.changed
	}
	if w == requests || p.delay == 0 {
		return 0, nil
	}
	if wait := time.Until(came.Add(p.delay)); wait > 0 {
		return wait, p.changed
	}
	return 0, nil
}

// change wakes what waits at an obstacle; the caller holds the lock.
func (p *Proxy) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Delay makes replies come so much later; 0 ends it. A pipeline's replies are late together.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
	p.change()
}

// LoseReplies lets the next n commands of these names, or of any, run at the server and ends the connection in place
// of each reply. Other commands that were outstanding there lose their replies with it.
func (p *Proxy) LoseReplies(n int, names ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.losing = n, nil
	for _, name := range names {
		if p.losing == nil {
			p.losing = map[string]bool{}
		}
		p.losing[strings.ToUpper(name)] = true
	}
}

// Mend ends every fault.
func (p *Proxy) Mend() {
	p.t.Helper()
	p.mu.Lock()
	p.held, p.delay, p.lose = [2]bool{}, 0, 0
	p.change()
	p.mu.Unlock()
	check(p.t, p.listen())
}
