package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// dialTimeout bounds a connection's making, unless calls may take longer.
	dialTimeout = time.Second
	// writeTimeout is after how long without a reply a connection is given up. The calls on it have ended long before: it is longer
	// where the budget is long.
	writeTimeout = 2 * time.Second
	// redial is the pause between attempts to reach a server that was never reached.
	redial = 200 * time.Millisecond
	// askSentinels is the pause between two times that Sentinels are asked which the master is, while that does not answer.
	askSentinels = 500 * time.Millisecond
)

// errNotConnected is what calls fail with until the server was reached once.
var errNotConnected = errors.New("not connected yet")

// conn is the client of a server that may not be there yet, and that is made anew when its server turns out
// to be no master any more.
type conn struct {
	server *Server
	doors  *doors
	budget time.Duration // of a call
	// kick tells that a client is to be made.
	kick chan struct{}
	// up is closed once the first was.
	up chan struct{}
	// doubted holds one whose server did not answer; answered says that one has since. worn holds one that gives no signals any more.
	doubted, worn chan rueidis.Client
	answered      atomic.Bool

	// mu guards what follows.
	mu     sync.RWMutex
	client rueidis.Client
	last   error // of the last attempt
	closed bool
}

func newConn(opts *Options) *conn {
	c := &conn{server: &opts.Server, doors: newDoors(opts.Logger, &opts.Server), budget: opts.Budget, kick: make(chan struct{}, 1), up: make(chan struct{}), last: errNotConnected}
	c.doubted, c.worn = make(chan rueidis.Client, 1), make(chan rueidis.Client, 1)
	c.kick <- struct{}{}
	return c
}

// get gives the client; the error is why there is none.
func (c *conn) get() (rueidis.Client, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.client == nil {
		return nil, c.last
	}
	return c.client, nil
}

// renew drops a client whose server refuses to write, unless that was done already.
func (c *conn) renew(old rueidis.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != old || c.closed {
		return
	}
	c.client, c.last = nil, errNotConnected
	go old.Close()
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// doubt has Sentinels asked which the master is when a client's does not answer.
func (c *conn) doubt(client rueidis.Client) {
	if c.server.Master == "" {
		return
	}
	select {
	case c.doubted <- client:
	default:
	}
}

// heard ends the doubt.
func (c *conn) heard() {
	if !c.answered.Load() {
		c.answered.Store(true)
	}
}

// wear has a client replaced that gives no signals though its server answers: it does not make a broken connection for them anew
// while the one for calls stands.
func (c *conn) wear(client rueidis.Client) {
	select {
	case c.worn <- client:
	default:
	}
}

// follow replaces clients, until ctx ends. Sentinels tell the client by themselves when another server is the master, but the one that leads a
// failover not before all replicas follow the new one, which can take as long as its failover-timeout. A master that answers is kept
// until it refuses or they tell, so that all replicas go over together.
func (c *conn) follow(ctx context.Context) {
	for {
		var client rueidis.Client
		elsewhere := false
		select {
		case <-ctx.Done():
			return
		case client = <-c.doubted:
			elsewhere = true
		case client = <-c.worn:
		}
		c.answered.Store(false)
		if !delay(ctx, askSentinels) {
			return
		}
		if !elsewhere || !c.answered.Load() {
			c.replace(ctx, client, elsewhere)
		}
	}
}

// replace puts another client in the place of one; elsewhere says: only if it has another master.
func (c *conn) replace(ctx context.Context, old rueidis.Client, elsewhere bool) {
	other, err := dial(ctx, c.server, c.budget, c.doors)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != old || c.closed || elsewhere && (c.answered.Load() || slices.Equal(masters(old), masters(other))) {
		go other.Close()
		return
	}
	c.client = other
	go old.Close() // what was asked of it is answered first
}

// masters gives the address of a client's server.
func masters(client rueidis.Client) []string { return slices.Sorted(maps.Keys(client.Nodes())) }

// run makes clients until ctx ends.
func (c *conn) run(ctx context.Context) {
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		}
		for !c.make(ctx) {
			if !delay(ctx, redial) {
				return
			}
		}
		if first {
			close(c.up)
		}
	}
}

func (c *conn) make(ctx context.Context) bool {
	client, err := dial(ctx, c.server, c.budget, c.doors)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		if err == nil {
			client.Close()
		}
		return true
	}
	if err != nil {
		c.last = c.doors.hideIn(err)
		return false
	}
	c.client = client
	return true
}

func (c *conn) close() {
	c.mu.Lock()
	client := c.client
	c.client, c.closed, c.last = nil, true, errClosed
	c.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// dial makes a client that never runs a command twice: a take that the client sends again by itself may be carried out
// after its caller gave up. Its connections end with ctx, and no sooner than calls that have a budget.
func dial(ctx context.Context, server *Server, budget time.Duration, doors *doors) (rueidis.Client, error) {
	option := rueidis.ClientOption{
		InitAddress: server.Addresses, Username: server.User, Password: server.Password, SelectDB: server.Database,
		TLSConfig: server.TLS, ClientName: "usher", ClientSetInfo: rueidis.DisableClientSetInfo,
		DisableCache: true, DisableRetry: true, AlwaysRESP2: true,
		Dialer: net.Dialer{Timeout: max(dialTimeout, budget), KeepAlive: time.Second}, ConnWriteTimeout: max(writeTimeout, 2*budget),
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(server.Addresses[0], "unix://"); ok {
		option.InitAddress, network = []string{path}, "unix"
	}
	option.DialCtxFn = func(asked context.Context, address string, dialer *net.Dialer, encrypt *tls.Config) (net.Conn, error) {
		if network == "unix" {
			encrypt = nil
		}
		return doors.connect(ctx, asked, network, address, dialer, encrypt)
	}
	switch {
	case server.Master != "":
		option.Sentinel = rueidis.SentinelOption{
			MasterSet: server.Master, Username: server.SentinelUser, Password: server.SentinelPassword,
			TLSConfig: server.TLS, Dialer: option.Dialer, ClientName: "usher",
		}
	case !server.Cluster:
		option.ForceSingleClient = true
	}
	client, err := rueidis.NewClient(option)
	if err == nil && server.Cluster && client.Mode() != rueidis.ClientModeCluster {
		// One of which it was given one address alone, and whose map it may not see, it takes for a server without others.
		if err = client.Do(ctx, client.B().ClusterSlots().Build()).Error(); !forbids(err) {
			err = nil
		}
	}
	if err != nil && client != nil {
		client.Close()
	}
	return client, err
}

// forbids tells that the user lacks a right.
func forbids(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(e.Error(), "NOPERM")
}
