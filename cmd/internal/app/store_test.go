package app

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usher.internal/cmd/internal/config"
	"usher.internal/core"
	"usher.internal/store/redisstore"
	"usher.internal/store/storetest/redistest"
)

// onRedis is an usher on that URL, patient with a loaded machine.
func onRedis(url, more string) string {
	return strings.TrimSuffix(oneAccount, "\n") + "\nredis: {urls: ['" + url + "'], budget: 10s" + more + "}\n"
}

// TestSharesRedis also runs where there is no redis-server, and shows that what INFO does not tell is told.
func TestSharesRedis(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("hunter2")
	book := newLogBook()
	opts := Options{Config: parsed(t, onRedis("redis://"+server.Addr(), "")), Secrets: Secrets{Redis: "hunter2"}, Log: book}
	a, b := started(t, opts), started(t, opts)
	first, second := dial(t, a.Addresses()[0]), dial(t, b.Addresses()[0])
	take(t, first)
	take(t, second)
	for _, conn := range []*App{a, b} {
		if n := snapshot(t, dial(t, conn.Addresses()[0])).GetAccounts()[0].GetInUse(); n != 2 {
			t.Errorf("%d in use", n)
		}
	}
	book.await(t, "its maxmemory-policy could not be checked", 2)
	if text, _ := book.state(); strings.Contains(text, "hunter2") || !strings.Contains(text, `"store":"redis://`+server.Addr()+`"`) {
		t.Errorf("the log:\n%s", text)
	}
}

// TestSharesStatistics: an usher that starts with stats: shared has what others have learned, and without it has not.
func TestSharesStatistics(t *testing.T) {
	server := miniredis.RunT(t)
	peer := func() *redisstore.Store {
		s, err := redisstore.New(redisstore.Options{Server: redisstore.Server{Addresses: []string{server.Addr()}}, Budget: patience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		<-s.Reached()
		return s
	}
	learned := learnedFailure(t, peer())
	if _, err := peer().ShareStats(t.Context(), learned, time.Hour); err != nil {
		t.Fatal(err)
	}
	shared := started(t, Options{Config: parsed(t, onRedis("redis://"+server.Addr(), ", stats: shared"))})
	conn := dial(t, shared.Addresses()[0])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for snapshot(t, conn).GetAccounts()[0].GetErrorRate() != 1 {
		if ctx.Err() != nil {
			t.Fatal("what others have learned does not come")
		}
	}
	local := started(t, Options{Config: parsed(t, onRedis("redis://"+server.Addr(), ""))})
	if rate := snapshot(t, dial(t, local.Addresses()[0])).GetAccounts()[0].GetErrorRate(); rate != 0 {
		t.Errorf("without shared statistics the error rate is %v", rate)
	}
}

// learnedFailure gives what a replica tells that has learned of one failure.
func learnedFailure(t *testing.T, store *redisstore.Store) []byte {
	t.Helper()
	told := &tellTale{Store: store, told: make(chan []byte, 1)}
	s, err := core.New(t.Context(), core.Options{Store: told, Entropy: rand.Uint64, ShareStatsEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	c := parsed(t, oneAccount)
	if err := s.Apply(t.Context(), c.Pool(), c.Policy.Decide()); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Select(t.Context(), &core.Request{})
	if err != nil {
		t.Fatal(err)
	}
	event := core.Event{Kind: core.EventFinished, Token: answer.Selection.Token, Outcome: core.OutcomeAccountError}
	if _, err := s.Report(t.Context(), []core.Event{event}); err != nil {
		t.Fatal(err)
	}
	return <-told.told
}

// tellTale gives the first statistics that a scheduler has, and puts none.
type tellTale struct {
	core.Store
	told chan []byte // holds one
}

func (s *tellTale) ShareStats(_ context.Context, own []byte, _ time.Duration) ([][]byte, error) {
	if len(own) > 0 {
		select {
		case s.told <- own:
		default:
		}
	}
	return nil, nil
}

// TestStopsBeforeItServes: a start that waits for Redis leaves nothing behind when it is called off.
func TestStopsBeforeItServes(t *testing.T) {
	for name, more := range map[string]string{"one server": "", "sentinel": ", mode: sentinel, master: m", "cluster": ", mode: cluster"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		book := newLogBook()
		_, err := New(ctx, Options{Config: parsed(t, onRedis("redis://127.0.0.1:1", more)), Log: book})
		if !errors.Is(err, context.Canceled) || book.count("stopped before it served") != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWarnsOfEviction(t *testing.T) {
	if !redistest.Available() {
		return
	}
	server := redistest.Single(t, redistest.TLS(), redistest.Password("hunter2"), redistest.With("maxmemory-policy", "allkeys-lru"))
	secret := filepath.Join(t.TempDir(), "password")
	write(t, secret, "hunter2\n")
	book := newLogBook()
	started(t, Options{
		Config: parsed(t, onRedis("rediss://"+server.Addr(), ", password_file: "+secret+", tls: {ca_file: "+server.CAFile()+"}")), Log: book,
	})
	book.await(t, `"fault":"its maxmemory-policy is allkeys-lru`, 1)
}

// TestModes: what redis.urls mean is as redis.mode says.
func TestModes(t *testing.T) {
	if !redistest.Available() {
		return
	}
	for name, section := range map[string]func(*testing.T) (addresses []string, more string){
		"cluster": func(t *testing.T) ([]string, string) { return redistest.NewCluster(t).Addrs(), "mode: cluster" },
		"sentinel": func(t *testing.T) ([]string, string) {
			return redistest.NewSentinel(t).Addrs(), "mode: sentinel, master: " + redistest.MasterName
		},
	} {
		t.Run(name, func(t *testing.T) {
			addresses, more := section(t)
			text := oneAccount + "redis: {urls: ['redis://" + strings.Join(addresses, "', 'redis://") + "'], budget: 10s, " + more + "}\n"
			a := started(t, Options{Config: parsed(t, text)})
			conn := dial(t, a.Addresses()[0])
			take(t, conn)
			if n := snapshot(t, conn).GetAccounts()[0].GetInUse(); n != 1 {
				t.Errorf("%d in use", n)
			}
		})
	}
}

func TestRedisFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	for name, c := range map[string]struct {
		redis config.Redis
		want  string
	}{
		"no password": {config.Redis{PasswordFile: filepath.Join(dir, "none")}, "redis.password_file: open"},
		"empty":       {config.Redis{PasswordFile: at("empty", "\n")}, "must hold one line"},
		"two lines":   {config.Redis{SentinelPasswordFile: at("two", "a\nb\n")}, "redis.sentinel_password_file: "},
		"no ca":       {config.Redis{URLs: []string{"rediss://h"}, TLS: config.RedisTLS{CAFile: at("ca", "x")}}, "redis.tls.ca_file: there is no certificate"},
		"no pair":     {config.Redis{URLs: []string{"rediss://h"}, TLS: config.RedisTLS{CertFile: "/none", KeyFile: "/none"}}, "redis.tls.cert_file and key_file"},
	} {
		if _, err := redisServer(&c.redis, Secrets{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server, err := redisServer(&config.Redis{
		URLs: []string{"rediss://h"}, PasswordFile: at("password", "from file\r\n"), SentinelPasswordFile: "/none", TLS: config.RedisTLS{ServerName: "s"},
	}, Secrets{Sentinel: "from environment"})
	if err != nil || server.Password != "from file" || server.SentinelPassword != "from environment" ||
		server.TLS.ServerName != "s" || server.TLS.MinVersion != tls.VersionTLS12 {
		t.Errorf("%v, %+v", err, server)
	}
}

// TestStoreOfTheCommandLine: what a flag adds may not fit the file, at the start and at a reload.
func TestStoreOfTheCommandLine(t *testing.T) {
	server := miniredis.RunT(t)
	dir := t.TempDir()
	path, state := filepath.Join(dir, "usher.yaml"), filepath.Join(dir, "state")
	opts := Options{File: path, Override: func(c *config.Config) { c.Redis.URLs = []string{"redis://" + server.Addr()} }}
	write(t, path, oneAccount+"memory: {state_file: "+state+"}\n")
	if _, err := New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "memory.state_file: is for the store in memory") {
		t.Errorf("at the start: %v", err)
	}
	write(t, path, oneAccount+"redis: {budget: 10s}\n")
	book := newLogBook()
	opts.Log = book
	a := started(t, opts)
	write(t, path, oneAccount+"memory: {state_file: "+state+"}\n")
	book.await(t, "reload failed", 1)
	write(t, path, oneAccount+"redis: {budget: 9s, namespace: other}\n")
	if err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	book.await(t, `"fields":["redis.namespace","redis.budget"]`, 1)
	if _, err := os.Stat(state); err == nil {
		t.Error("a state file beside Redis")
	}
}
