package redistest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"usher.internal/store/storetest"
)

const (
	masterCount = 3
	slotCount   = 16384
	// nodeTimeout means: milliseconds without an answer after which a node counts as failing.
	nodeTimeout = "1500"
)

// Cluster is three masters, each with a replica, so that it heals when a master is gone.
type Cluster struct {
	t     storetest.TB
	nodes []*Server
}

// NewCluster starts a cluster and waits until every node serves and every master has its replica. The options are for
// all nodes. The test's end stops it.
func NewCluster(t storetest.TB, options ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	options = append([]Option{
		func(s *settings) { s.bus = true },
		With("cluster-enabled", "yes"), With("cluster-node-timeout", nodeTimeout),
		With("cluster-replica-validity-factor", "0"), With("repl-diskless-sync-delay", "0"),
	}, options...)
	for range 2 * masterCount {
		c.nodes = append(c.nodes, Single(t, options...))
	}
	check(t, c.join())
	c.AwaitWhole()
	return c
}

// join makes nodes that know nothing a cluster.
func (c *Cluster) join() error {
	for i, n := range c.nodes {
		_, err := n.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i < masterCount && err == nil {
			first, last := slotCount*i/masterCount, slotCount*(i+1)/masterCount-1
			_, err = n.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		}
		for _, other := range c.nodes[:i] {
			if err == nil {
				_, err = n.Do("CLUSTER", "MEET", host, strconv.Itoa(other.port), strconv.Itoa(other.bus))
			}
		}
		if err != nil {
			return err
		}
	}
	for i, replica := range c.nodes[masterCount:] {
		id, err := c.nodes[i].Do("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		// It can follow a master as soon as it knows it.
		if err := until(func() error {
			_, err := replica.Do("CLUSTER", "REPLICATE", fmt.Sprint(id))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Nodes gives all nodes, those that were masters at first before their replicas, in the same order.
func (c *Cluster) Nodes() []*Server { return c.nodes }

// Addrs gives the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.Addr())
	}
	return all
}

// MasterOf gives the node that serves a key, as the nodes that run see it.
func (c *Cluster) MasterOf(key string) *Server {
	c.t.Helper()
	var found *Server
	await(c.t, c.nodes, func() error {
		err := errors.New("no node runs")
		for _, n := range c.nodes {
			if !n.Runs() {
				continue
			}
			if found, err = c.serving(n, key); err == nil {
				return nil
			}
		}
		return err
	})
	return found
}

func (c *Cluster) serving(asked *Server, key string) (*Server, error) {
	slot, err := asked.Do("CLUSTER", "KEYSLOT", key)
	if err != nil {
		return nil, err
	}
	ranges, err := slotsOf(asked)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		if number, ok := slot.(int); ok && r.first <= number && number <= r.last {
			return c.at(r.master)
		}
	}
	return nil, fmt.Errorf("nobody serves slot %v", slot)
}

func (c *Cluster) at(port int) (*Server, error) {
	for _, n := range c.nodes {
		if n.port == port {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node has port %d", port)
}

// Replicas gives the nodes that run and follow a node that may be gone.
func (c *Cluster) Replicas(of *Server) []*Server {
	var all []*Server
	for _, n := range c.nodes {
		if role, err := roleOf(n); n.Runs() && err == nil && role.master == of.port {
			all = append(all, n)
		}
	}
	return all
}

// AwaitServing waits until the nodes that run agree that they serve every slot among them.
func (c *Cluster) AwaitServing() {
	c.t.Helper()
	await(c.t, c.nodes, func() error {
		for _, n := range c.nodes {
			if !n.Runs() {
				continue
			}
			if err := c.servesAll(n); err != nil {
				return fmt.Errorf("node %d: %w", n.port, err)
			}
		}
		return nil
	})
}

func (c *Cluster) servesAll(asked *Server) error {
	info, err := asked.Do("CLUSTER", "INFO")
	if err != nil {
		return err
	}
	if state := fieldOf(fmt.Sprint(info), "cluster_state"); state != "ok" {
		return fmt.Errorf("the state is %s", state)
	}
	ranges, err := slotsOf(asked)
	if err != nil {
		return err
	}
	served := 0
	for _, r := range ranges {
		master, err := c.at(r.master)
		if err != nil {
			return err
		}
		role, err := roleOf(master)
		if err != nil || role.name != "master" || !master.Runs() {
			return fmt.Errorf("slot %d is still with %d", r.first, r.master)
		}
		served += r.last - r.first + 1
	}
	if served != slotCount {
		return fmt.Errorf("%d slots are served", served)
	}
	return nil
}

// AwaitWhole waits until the nodes that run serve every slot and each master has a replica with all that was written
// so far: until the next master may go.
func (c *Cluster) AwaitWhole() {
	c.t.Helper()
	c.AwaitServing()
	await(c.t, c.nodes, func() error {
		for _, n := range c.nodes {
			if !n.Runs() {
				continue
			}
			if err := c.followed(n); err != nil {
				return fmt.Errorf("node %d: %w", n.port, err)
			}
		}
		return nil
	})
}

// followed wants a replica to follow and a master to be followed, in everybody's eyes.
func (c *Cluster) followed(n *Server) error {
	role, err := roleOf(n)
	if err != nil {
		return err
	}
	if role.name == "master" && role.replicas == 0 {
		return errors.New("no replica is connected")
	}
	if role.name != "master" {
		master, err := c.at(role.master)
		if err == nil {
			err = n.follows(master)
		}
		if err != nil {
			return err
		}
	}
	known, err := n.Do("CLUSTER", "NODES")
	if err != nil {
		return err
	}
	for _, other := range c.nodes {
		role, err := roleOf(other)
		if err != nil || !other.Runs() {
			continue
		}
		at := address(other.port) + "@"
		for line := range strings.Lines(fmt.Sprint(known)) {
			flags := strings.Fields(line)[2]
			if strings.Contains(line, at) && (!strings.Contains(flags, role.name) || strings.Contains(flags, "fail")) {
				return fmt.Errorf("it sees %s", line)
			}
		}
		if !strings.Contains(fmt.Sprint(known), at) {
			return fmt.Errorf("it does not know %d", other.port)
		}
	}
	return nil
}
