package app

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"usher.internal/cmd/internal/config"
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
