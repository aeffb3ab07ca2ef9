package redistest

import (
	"context"
	"net"

	"usher.internal/store/storetest"
)

// Proxies stand before the nodes of a cluster, or before servers that Sentinels watch. These tell clients where they
// are themselves, so that a client comes this way only if it takes Dial for its connections.
type Proxies struct {
	servers []*Server
	each    []*Proxy
}

// NewProxies gives a proxy before each server.
func NewProxies(t storetest.TB, servers ...*Server) *Proxies {
	t.Helper()
	p := &Proxies{servers: servers}
	for _, s := range servers {
		p.each = append(p.each, NewProxy(t, s.Addr()))
	}
	return p
}

// Dial connects to the proxy before an address, or to the address if there is none.
func (p *Proxies) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for i, s := range p.servers {
		if s.Addr() == addr {
			addr = p.each[i].Addr()
			break
		}
	}
	var dial net.Dialer
	return dial.DialContext(ctx, network, addr)
}

// Before gives the proxy before a server, nil if there is none.
func (p *Proxies) Before(server *Server) *Proxy {
	for i, s := range p.servers {
		if s == server {
			return p.each[i]
		}
	}
	return nil
}

// Counts gives what all have counted so far.
func (p *Proxies) Counts() Counts {
	sum := Counts{Names: map[string]int{}}
	for _, one := range p.each {
		more := one.Counts()
		sum.add(&more)
	}
	return sum
}
