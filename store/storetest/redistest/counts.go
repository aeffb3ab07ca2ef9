package redistest

import (
	"maps"
)

// Counts says what clients sent to a server and got from it.
//
// A request begins a round trip when nothing is outstanding on its connection: every earlier request has been answered.
// Otherwise it is part of the round trip that is under way. So a pipeline is one round trip however the client writes
// it, and so is all that several callers do at once over one connection: what one call needs is counted with one caller.
type Counts struct {
	Connections int
	Commands    int            // requests, those of a connection's greeting too
	RoundTrips  int            // over all connections
	Names       map[string]int // commands by their first word, in upper case
	Sent        int64          // bytes of requests
	Received    int64          // bytes of replies that reached the client
}

// Since gives what came after an earlier look.
func (c Counts) Since(earlier Counts) Counts {
	names := map[string]int{}
	for name, n := range c.Names {
		if n -= earlier.Names[name]; n != 0 {
			names[name] = n
		}
	}
	return Counts{
		Connections: c.Connections - earlier.Connections,
		Commands:    c.Commands - earlier.Commands,
		RoundTrips:  c.RoundTrips - earlier.RoundTrips,
		Names:       names,
		Sent:        c.Sent - earlier.Sent,
		Received:    c.Received - earlier.Received,
	}
}

func (c *Counts) add(more *Counts) {
	c.Connections += more.Connections
	c.Commands += more.Commands
	c.RoundTrips += more.RoundTrips
	c.Sent += more.Sent
	c.Received += more.Received
	if c.Names == nil {
		c.Names = map[string]int{}
	}
	for name, n := range more.Names {
		c.Names[name] += n
	}
}

func (c *Counts) clone() Counts {
	copied := *c
	copied.Names = maps.Clone(c.Names)
	return copied
}
