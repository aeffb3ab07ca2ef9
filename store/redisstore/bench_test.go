package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/storetest/redistest"
)

// What the floor does is what any lease on Redis must: throw out what is over, count, and add; and remove.
const (
	floorAcquire = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + 60000000, ARGV[1])
return 1`
	floorRelease = `return redis.call('ZREM', KEYS[1], ARGV[1])`
)

// callers is how many gateways' requests are under way at once.
const callers = 64

// BenchmarkPair is a Select and its report on a real server, beside the floor: a raw acquire and release through the same client.
func BenchmarkPair(b *testing.B) {
	overBoth(b, func(b *testing.B, server *redistest.Server, address string) {
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("accounts=%d/floor", n), func(b *testing.B) {
				defer serverTime(b, server)()
				benchFloor(b, address, n)
			})
			for _, layer := range []string{"session", "balance", "cached"} {
				b.Run(fmt.Sprintf("accounts=%d/%s", n, layer), func(b *testing.B) {
					defer serverTime(b, server)()
					benchPair(b, address, layer, n)
				})
			}
		}
	})
}

// overBoth runs a benchmark over TCP, as where pods share a server, and over a Unix socket, which is cheaper for all.
func overBoth(b *testing.B, run func(b *testing.B, server *redistest.Server, address string)) {
	if !redistest.Available() {
		b.Fatal("a redis-server is needed")
	}
	server := redistest.Single(b)
	for _, over := range []struct{ name, address string }{{"tcp", server.Addr()}, {"unix", "unix://" + server.Socket()}} {
		b.Run(over.name, func(b *testing.B) { run(b, server, over.address) })
	}
}

// viewOf is what a layer is measured with.
var viewOf = map[string]LoadView{"cached": Cached}

// parallel runs pairs by so many callers.
func parallel(b *testing.B, pair func(caller int) error) {
	var next atomic.Int64
	b.SetParallelism(callers / 2) // two for each core of the machine that the figures are of
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		caller := int(next.Add(1))
		for pb.Next() {
			if err := pair(caller); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// floorPair gives the floor's acquire and release of an account each of n.
func floorPair(b *testing.B, address string, n int) (acquire, release func(caller int, id string) error) {
	b.Helper()
	client, err := open(b, Options{Server: single(address), Namespace: "floor"}).conn.get()
	if err != nil {
		b.Fatal(err)
	}
	first, last := rueidis.NewLuaScript(floorAcquire), rueidis.NewLuaScript(floorRelease)
	keys := func(caller int) []string { return []string{"floor:{x}:" + strconv.Itoa(caller%n)} }
	acquire = func(caller int, id string) error {
		return first.Exec(context.Background(), client, keys(caller), []string{id, "1000"}).Error()
	}
	release = func(caller int, id string) error {
		return last.Exec(context.Background(), client, keys(caller), []string{id}).Error()
	}
	return acquire, release
}

func benchFloor(b *testing.B, address string, n int) {
	acquire, release := floorPair(b, address, n)
	var ids atomic.Int64
	parallel(b, func(caller int) error {
		id := strconv.FormatInt(ids.Add(1), 10)
		if err := acquire(caller, id); err != nil {
			return err
		}
		return release(caller, id)
	})
}

// layered gives a scheduler over n accounts, and what a caller asks it for in a layer.
func layered(b *testing.B, address, layer string, n int) (s *core.Scheduler, request func(caller int) *core.Request) {
	b.Helper()
	options := Options{Server: single(address), Namespace: layer + strconv.Itoa(n), Budget: 2 * time.Second, LoadView: viewOf[layer]}
	return scheduler(b, open(b, options), n), func(caller int) *core.Request {
		req := &core.Request{Group: "main"}
		if layer == "session" {
			req.SessionHash = "s" + strconv.Itoa(caller)
		}
		return req
	}
}

func selected(s *core.Scheduler, req *core.Request) (token string, err error) {
	answer, err := s.Select(context.Background(), req)
	if err != nil {
		return "", err
	}
	if answer.Selection == nil {
		return "", fmt.Errorf("nothing selected: %+v", answer)
	}
	return answer.Selection.Token, nil
}

func finished(s *core.Scheduler, token string) error {
	event := core.Event{Kind: core.EventFinished, Token: token, Outcome: core.OutcomeSuccess}
	_, err := s.Report(context.Background(), []core.Event{event})
	return err
}

func benchPair(b *testing.B, address, layer string, n int) {
	s, request := layered(b, address, layer, n)
	parallel(b, func(caller int) error {
		token, err := selected(s, request(caller))
		if err != nil {
			return err
		}
		return finished(s, token)
	})
}

// scheduler gives a scheduler over n accounts on the store.
func scheduler(tb testing.TB, store core.Store, n int) *core.Scheduler {
	tb.Helper()
	s, err := core.New(context.Background(), core.Options{Store: store, Entropy: rand.Uint64})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	accounts := make([]pool.Account, n)
	for i := range accounts {
		accounts[i] = pool.Account{ID: strconv.Itoa(i + 1), Priority: i % 5, MaxConcurrency: 64, Groups: []string{"main"}}
	}
	if err := s.Apply(context.Background(), accounts, decide.Recommended()); err != nil {
		tb.Fatal(err)
	}
	return s
}

// serverTime reports how much of the server's time a pair took, and how much of this process's.
func serverTime(b *testing.B, server *redistest.Server) (report func()) {
	b.Helper()
	used := func() (there, here float64) {
		user, _ := strconv.ParseFloat(server.Info("used_cpu_user"), 64)
		system, _ := strconv.ParseFloat(server.Info("used_cpu_sys"), 64)
		var own syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
			b.Error(err)
		}
		return user + system, time.Duration(own.Utime.Nano() + own.Stime.Nano()).Seconds()
	}
	there, here := used()
	return func() {
		thereAfter, hereAfter := used()
		b.ReportMetric((thereAfter-there)*1e6/float64(b.N), "server-µs/op")
		b.ReportMetric((hereAfter-here)*1e6/float64(b.N), "client-µs/op")
	}
}
