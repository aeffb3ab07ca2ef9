package redistest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"usher.internal/store/storetest"
)

// MasterName is what Sentinels call the master that they watch.
const MasterName = "usher"

const (
	serverCount   = 3
	sentinelCount = 3
)

// Sentinel is a master with two replicas, and three Sentinels that watch them.
type Sentinel struct {
	t         storetest.TB
	settings  settings // of the servers
	servers   []*Server
	sentinels []*Server
}

// NewSentinel starts the servers and then the Sentinels, and waits until these know all. The options are for the
// servers, but for Sentinels and for TLS, which is for both. The test's end stops all.
func NewSentinel(t storetest.TB, options ...Option) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t}
	for _, o := range options {
		o(&s.settings)
	}
	options = append(options, With("repl-diskless-sync-delay", "0"))
	for range serverCount {
		s.servers = append(s.servers, Single(t, options...))
	}
	for _, replica := range s.servers[1:] {
		replica.Must("REPLICAOF", host, strconv.Itoa(s.servers[0].port))
	}
	await(t, s.servers, func() error { return s.following(s.servers[0]) })
	watchers := append([]Option{func(one *settings) {
		one.sentinel, one.authority, one.clients = true, s.settings.authority, s.settings.clients
	}}, s.settings.watchers...)
	for range sentinelCount {
		one := Single(t, watchers...)
		s.sentinels = append(s.sentinels, one)
		s.watch(one)
	}
	s.AwaitWhole()
	return s
}

// watch makes a Sentinel know the master, and look at it more often than it would: it finds the rest by looking. Once the
// master is down a replica is asked each second, and is fit for five ping periods after its answer: these may not be short. One that stood still
// itself does nothing for the tilt period.
func (s *Sentinel) watch(one *Server) {
	s.t.Helper()
	one.Must("SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "300", "PING-PERIOD", "500", "ASK-PERIOD", "300", "TILT-PERIOD", "1000")
	// What it says to the other Sentinels.
	if one.settings.password != "" {
		one.Must("SENTINEL", "CONFIG", "SET", "sentinel-pass", one.settings.password)
	}
	if one.settings.user != "" {
		one.Must("SENTINEL", "CONFIG", "SET", "sentinel-user", one.settings.user)
	}
	one.Must("SENTINEL", "MONITOR", MasterName, host, strconv.Itoa(s.servers[0].port), strconv.Itoa(sentinelCount/2+1))
	one.Must("SENTINEL", "SET", MasterName, "down-after-milliseconds", "1000", "failover-timeout", "4000", "parallel-syncs", "2")
	if s.settings.password != "" {
		one.Must("SENTINEL", "SET", MasterName, "auth-pass", s.settings.password)
	}
	if s.settings.user != "" {
		one.Must("SENTINEL", "SET", MasterName, "auth-user", s.settings.user)
	}
}

// Addrs gives the addresses of the Sentinels.
func (s *Sentinel) Addrs() []string {
	var all []string
	for _, one := range s.sentinels {
		all = append(all, one.Addr())
	}
	return all
}

// Servers gives the master of the beginning and its replicas.
func (s *Sentinel) Servers() []*Server { return s.servers }

// Replicas gives the servers that run besides the one that is their master.
func (s *Sentinel) Replicas(of *Server) []*Server {
	var all []*Server
	for _, server := range s.servers {
		if server != of && server.Runs() {
			all = append(all, server)
		}
	}
	return all
}

// Sentinels gives the Sentinels.
func (s *Sentinel) Sentinels() []*Server { return s.sentinels }

// Master waits until the Sentinels that run agree on a master that runs and is one, and gives it.
func (s *Sentinel) Master() *Server {
	s.t.Helper()
	var found *Server
	await(s.t, s.sentinels, func() (err error) {
		found, err = s.agreed()
		return err
	})
	return found
}

func (s *Sentinel) agreed() (*Server, error) {
	port := 0
	for _, one := range s.sentinels {
		if !one.Runs() {
			continue
		}
		got, err := one.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
		if err != nil {
			return nil, err
		}
		at := items(got)
		if len(at) != 2 {
			return nil, fmt.Errorf("Sentinel %d knows no master", one.port)
		}
		if port != 0 && port != number(at[1]) {
			return nil, fmt.Errorf("Sentinels name %d and %d", port, number(at[1]))
		}
		port = number(at[1])
	}
	for _, server := range s.servers {
		if server.port != port {
			continue
		}
		role, err := roleOf(server)
		if err == nil && role.name != "master" {
			err = fmt.Errorf("server %d is a %s", port, role.name)
		}
		return server, err
	}
	return nil, errors.New("no Sentinel runs")
}

// AwaitWhole waits until the other servers that run follow the master, have all that was written so far, and are known
// to each Sentinel that runs: until the master may go.
func (s *Sentinel) AwaitWhole() {
	s.t.Helper()
	await(s.t, s.sentinels, func() error {
		master, err := s.agreed()
		if err != nil {
			return err
		}
		if err := s.following(master); err != nil {
			return err
		}
		for _, one := range s.sentinels {
			if !one.Runs() {
				continue
			}
			if err := s.sees(one); err != nil {
				return fmt.Errorf("Sentinel %d: %w", one.port, err)
			}
		}
		return nil
	})
}

func (s *Sentinel) following(master *Server) error {
	for _, server := range s.servers {
		if server == master || !server.Runs() {
			continue
		}
		if err := server.follows(master); err != nil {
			return err
		}
	}
	return nil
}

// sees wants a Sentinel to know the other Sentinels and each replica that runs to be fit to take over.
func (s *Sentinel) sees(one *Server) error {
	got, err := one.Do("SENTINEL", "MASTER", MasterName)
	if err != nil {
		return err
	}
	if master := fields(got); master["flags"] != "master" || master["num-other-sentinels"] != strconv.Itoa(sentinelCount-1) {
		return fmt.Errorf("it sees a %s with %s other Sentinels", master["flags"], master["num-other-sentinels"])
	}
	replicas, err := one.Do("SENTINEL", "REPLICAS", MasterName)
	if err != nil {
		return err
	}
	fit, run := 0, 0
	for _, r := range items(replicas) {
		if replica := fields(r); replica["flags"] == "slave" && replica["master-link-status"] == "ok" {
			fit++
		}
	}
	for _, server := range s.servers {
		if server.Runs() {
			run++
		}
	}
	if fit < run-1 {
		return fmt.Errorf("it sees %d replicas that are fit", fit)
	}
	return nil
}

// Failover makes a replica the master in order, and waits until all follow it.
func (s *Sentinel) Failover() {
	s.t.Helper()
	was := s.Master()
	await(s.t, s.sentinels, s.order)
	await(s.t, s.sentinels, func() error {
		now, err := s.agreed()
		if err == nil && now == was {
			err = fmt.Errorf("server %d is still the master", was.port)
		}
		return err
	})
	s.AwaitWhole()
}

// order asks a Sentinel for a failover; it refuses until it knows a replica that is fit.
func (s *Sentinel) order() error {
	for _, one := range s.sentinels {
		if !one.Runs() {
			continue
		}
		_, err := one.Do("SENTINEL", "FAILOVER", MasterName)
		if err != nil && strings.HasPrefix(err.Error(), "INPROG") {
			return nil
		}
		return err
	}
	return errors.New("no Sentinel runs")
}

// fields reads an array of names and values in turn.
func fields(reply any) map[string]string {
	all := map[string]string{}
	list := items(reply)
	for i := 1; i < len(list); i += 2 {
		all[fmt.Sprint(list[i-1])] = fmt.Sprint(list[i])
	}
	return all
}
