package config

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher.internal/core"
)

// check records what one field alone cannot tell.
func check(p *problems, c *Config) {
	declared := checkGroups(p, "groups", c.Groups)
	byID := make(map[string]string, len(c.Accounts))
	for i := range c.Accounts {
		a, path := &c.Accounts[i], fmt.Sprintf("accounts[%d]", i)
		if first, taken := byID[a.ID]; taken && a.ID != "" {
			p.add(path+".id", "%q is the id of %s on line %d already; ids must be unique", a.ID, first, p.lines[first+".id"])
		} else {
			byID[a.ID] = path
		}
		checkAccount(p, path, a)
		checkGroups(p, path+".groups", a.Groups)
		if len(c.Groups) > 0 {
			checkDeclared(p, path, a.Groups, declared)
		}
	}
	checkRepeats(p, "policy.response.transports", c.Policy.Response.Transports)
	checkPolicy(p, &c.Policy)
	checkOutcomes(p, c.Outcomes)
	checkListen(p, c.Server.Listen)
	checkLeases(p, &c.Server)
	checkRedis(p, &c.Redis)
	if len(c.Redis.URLs) > 0 {
		checkStore(p, c)
	}
	if path := c.Memory.StateFile; path != "" && (!filepath.IsAbs(path) || filepath.Clean(path) != path || filepath.Dir(path) == path) {
		p.add("memory.state_file", "is %q; allowed: the absolute path of a file, such as /var/lib/usher/state", path)
	}
}

func checkLeases(p *problems, s *Server) {
	if age := s.MaxLeaseAge; age > 0 && age < time.Second {
		p.add("server.max_lease_age", "is %v; allowed: 0s, or from 1s to 720h", age)
	}
	if beat := s.Heartbeat; beat.Timeout <= beat.Interval {
		p.add("server.heartbeat.timeout", "is %v, not above interval, which is %v", beat.Timeout, beat.Interval)
	}
}

func checkPolicy(p *problems, policy *Policy) {
	if f := policy.Session.Escape.TTFTFactor; f > 0 && f <= 1 {
		p.add("policy.session.escape.ttft_factor", "is %v; allowed: 0 or above 1", f)
	}
	if over := policy.Cooldown.Overloaded; over.Cap < over.Base {
		p.add("policy.cooldown.overloaded.cap", "is %v, below base, which is %v", over.Cap, over.Base)
	}
}

func checkOutcomes(p *problems, all []Outcome) {
	type answer struct {
		provider, code string
		status         int
	}
	first := make(map[answer]int, len(all))
	for i := range all {
		o, path := &all[i], fmt.Sprintf("outcomes[%d]", i)
		if o.Status > 5 && o.Status < 100 {
			p.add(path+".status", "is %d; allowed: 100 to 599, or 1 to 5 for all that begin with that digit", o.Status)
		}
		if o.Status == 0 && o.Code == "" {
			p.add(path, "status or code is needed")
			continue
		}
		if _, given := p.lines[path+".scope"]; given && !slices.Contains([]string{"rate_limited", "quota_exhausted", "overloaded"}, o.Outcome) {
			p.add(path+".scope", "is only for rate_limited, quota_exhausted and overloaded; the outcome is %s", o.Outcome)
		}
		key := answer{core.ProviderName(o.Provider), strings.ToLower(o.Code), o.Status}
		if other, taken := first[key]; taken {
			p.add(path, "the same provider, status and code as in outcomes[%d]", other)
			continue
		}
		first[key] = i
	}
}

// checkGroups gives the names that are fit.
func checkGroups(p *problems, path string, groups []string) []string {
	for i, g := range groups {
		if strings.TrimSpace(g) == "" {
			p.add(fmt.Sprintf("%s[%d]", path, i), "must not be blank")
		}
	}
	checkRepeats(p, path, groups)
	return groups
}

func checkDeclared(p *problems, path string, groups, declared []string) {
	for i, g := range groups {
		if g != "" && !slices.Contains(declared, g) {
			p.add(fmt.Sprintf("%s.groups[%d]", path, i), "unknown group %q; allowed (see groups): %s", g, strings.Join(declared, ", "))
		}
	}
}

func checkRepeats(p *problems, path string, list []string) {
	for i, s := range list {
		if s != "" && slices.Contains(list[:i], s) {
			p.add(fmt.Sprintf("%s[%d]", path, i), "%q is given twice", s)
		}
	}
}

func checkAccount(p *problems, path string, a *Account) {
	checkRepeats(p, path+".transports", a.Transports)
	for _, pattern := range slices.Sorted(maps.Keys(a.Models)) {
		at := fmt.Sprintf("%s.models[%q]", path, pattern)
		if pattern == "" {
			p.add(at, "a model must not be blank; * is every model")
		}
		if _, read := p.lines[at]; read && a.Models[pattern] == "" {
			p.add(at, "the upstream model must not be blank")
		}
	}
	if _, blank := a.ModelLimits[""]; blank {
		p.add(path+".model_limits", "a model must not be blank")
	}
	if !a.DrainUntil.IsZero() && a.State != "draining" {
		p.add(path+".drain_until", "is only for state draining; the state is %s", a.State)
	}
}

func checkListen(p *problems, list []string) {
	const allowed = "allowed: HOST:PORT such as 127.0.0.1:7411, or unix:///PATH such as unix:///run/usher/usher.sock"
	if len(list) == 0 {
		p.add("server.listen", "needs at least one address; %s", allowed)
	}
	for i, address := range list {
		if err := CheckAddress(address); err != nil {
			p.add(fmt.Sprintf("server.listen[%d]", i), "%v; %s", err, allowed)
		}
	}
	checkRepeats(p, "server.listen", list)
}

// checkExposed records what would need server.insecure. What cannot be looked up here may be known where usher will serve.
func checkExposed(p *problems, s *Server) {
	if s.Insecure {
		return
	}
	for i, address := range s.Listen {
		if _, socket := SocketPath(address); socket || CheckAddress(address) != nil {
			continue
		}
		if tcp, err := net.ResolveTCPAddr("tcp", address); err == nil && !tcp.IP.IsLoopback() {
			p.add(fmt.Sprintf("server.listen[%d]", i), "other machines reach %q, and there is no TLS; allowed: a loopback address such as "+
				"127.0.0.1:7411, unix:///PATH, or any address with server.insecure: true (or serve --insecure)", address)
		}
	}
}

// CheckAddress tells what is wrong with an address to listen on; it does not look at the machine.
func CheckAddress(address string) error {
	if path, ok := SocketPath(address); ok {
		// The kernel's own bound, less the closing zero.
		const mostPath = 107
		switch {
		case !filepath.IsAbs(path):
			return fmt.Errorf("%q does not name an absolute path", address)
		case len(path) > mostPath:
			return fmt.Errorf("%q has a path of %d bytes, at most %d", address, len(path), mostPath)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	return nil
}

// SocketPath gives the path of an address that is a Unix socket.
func SocketPath(address string) (string, bool) {
	rest, ok := strings.CutPrefix(address, "unix:")
	return strings.TrimPrefix(rest, "//"), ok
}
