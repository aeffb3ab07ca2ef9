package redisstore

import (
	"math"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/storetest/redistest"
)

// fault is what is done to a server while a crowd is at work; it returns when that is over.
type fault struct {
	name string
	do   func(c *crowd, server *redistest.Server, proxy *redistest.Proxy)
	// forgets says that what the server kept is lost.
	forgets bool
}

// spin is a script that holds the server for a while.
const spin = "for i = 1, 60000000 do end return 1"

func faults() []fault {
	return []fault{
		{name: "lost replies", do: func(c *crowd, _ *redistest.Server, p *redistest.Proxy) {
			for range 10 {
				p.LoseReplies(math.MaxInt, "EVALSHA")
				c.suffer(3)
				p.LoseReplies(0)
				c.goOn(50)
			}
		}},
		{name: "requests that come late", do: func(c *crowd, _ *redistest.Server, p *redistest.Proxy) {
			for range 3 {
				p.HoldRequests()
				c.suffer(2 * crowdSize)
				p.Mend()
				c.goOn(50)
			}
		}},
		{name: "replies that come late", do: func(c *crowd, _ *redistest.Server, p *redistest.Proxy) {
			for range 3 {
				p.HoldReplies()
				c.suffer(2 * crowdSize)
				p.Mend()
				c.goOn(50)
			}
		}},
		{name: "black hole", do: func(c *crowd, _ *redistest.Server, p *redistest.Proxy) {
			p.BlackHole()
			c.suffer(20 * crowdSize)
			p.Break()
			p.Mend()
		}},
		{name: "broken connections", do: func(c *crowd, _ *redistest.Server, p *redistest.Proxy) {
			for range 10 {
				p.Break()
				c.goOn(50)
			}
		}},
		{name: "standing still", do: func(c *crowd, s *redistest.Server, _ *redistest.Proxy) {
			s.Pause()
			c.suffer(30 * crowdSize)
			s.Resume()
		}},
		{name: "scripts flushed", do: func(c *crowd, s *redistest.Server, _ *redistest.Proxy) {
			for range 10 {
				s.Must("SCRIPT", "FLUSH")
				c.goOn(50)
			}
		}},
		{name: "busy", do: func(c *crowd, s *redistest.Server, _ *redistest.Proxy) {
			s.Must("CONFIG", "SET", "busy-reply-threshold", "10")
			s.Must("EVAL", spin, "0")
		}},
		{name: "stopped and started", do: func(c *crowd, s *redistest.Server, _ *redistest.Proxy) {
			s.Stop()
			c.suffer(crowdSize)
			s.Start()
		}},
		{name: "killed and empty", forgets: true, do: func(c *crowd, s *redistest.Server, _ *redistest.Proxy) {
			s.Kill()
			s.Wipe()
			s.Start()
		}},
		{name: "flushed", forgets: true, do: func(c *crowd, s *redistest.Server, _ *redistest.Proxy) { s.Must("FLUSHALL") }},
	}
}

// TestCrowdedFaults does things to a server under 64 callers. Afterwards all goes on by itself, and what is in use is what they hold.
func TestCrowdedFaults(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Single(t, redistest.AppendOnly(), redistest.With("appendfsync", "no"))
			proxy := redistest.NewProxy(t, server.Addr())
			c := newCrowd(t, single(proxy.Addr()), "faults")
			f.do(c, server, proxy)
			c.goOn(10 * crowdSize)
			if f.forgets {
				c.forget()
			}
			c.settled(single(server.Addr()))
		})
	}
}

const (
	// unheardMost is how many calls the death of a master may lose: those of one instant, which the new master has not heard of.
	unheardMost = 2 * opsMost
	// unboundedly is for a failover in order: until it is told, the old master goes on and what it does is lost.
	unboundedly = 1 << 30
)

// failsOver wants callers to go on by themselves when another server has become their master. What is in use is what they hold,
// but for what the old master carried out and did not pass on.
func failsOver(t *testing.T, server Server, most int, fail, heal func()) {
	c := newCrowd(t, server, "failover")
	fail()
	heal()
	healed := time.Now()
	c.goOn(10 * crowdSize)
	t.Logf("takes are carried out %v after the servers agree on a master", time.Since(healed))
	c.end()
	var loads [3]decide.Load
	until(t, "what is lost is taken back", func() bool { return c.stores[0].lost.none() && c.stores[1].lost.none() })
	until(t, "the loads are read", func() bool { return c.stores[0].Loads(t.Context(), []int32{0, 1, 2}, loads[:]) == nil })
	used := int(loads[0].InUse + loads[1].InUse + loads[2].InUse)
	t.Logf("%d takes, %d calls failed; %d are in use, the callers hold %d", c.took.Load(), c.failed.Load(), used, len(c.held))
	if off := used - len(c.held); off > most || off < -most {
		t.Errorf("%d are in use, and the callers hold %d", used, len(c.held))
	}
	c.forget()
	var left []core.Lease
	until(t, "the owner's leases are listed", func() (ok bool) {
		var err error
		left, err = c.stores[1].LeasesOf(t.Context(), "owner")
		return err == nil
	})
	if len(left) > most {
		t.Errorf("%d leases are left that nobody holds", len(left))
	}
	for i := range left {
		until(t, "a lease is given back", func() bool { return released(c.stores[1], left[i]) })
	}
	c.wantInUse(0)
	sound(t, beside(t, &server), c.stores[0].prefix[0])
}

// none tells that nothing is to be taken back.
func (l *lostTakes) none() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list) == 0 && !l.retell
}
