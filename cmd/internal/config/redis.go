package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher.internal/core"
	"usher.internal/store/outage"
)

// The modes of Redis.
const (
	ModeSingle   = "single"
	ModeSentinel = "sentinel"
	ModeCluster  = "cluster"
)

// Redis is the store that several ushers share.
type Redis struct {
	// Where it is: redis://HOST[:PORT], rediss://HOST[:PORT] for TLS, or unix:///PATH; the port is 6379 unless told. One for a single
	// server, any of the nodes of a Cluster, or the Sentinels. Never with a password. Default [], which is no Redis: the store is in memory.
	URLs []string `yaml:"urls"`
	// What urls are: a single server, the Sentinels that watch one, or nodes of a Cluster. Default single.
	Mode string `yaml:"mode" allowed:"single sentinel cluster"`
	// The name that the Sentinels know the master by; needed with mode sentinel, and only there. Default "".
	Master string `yaml:"master" max:"128"`
	// Whom to log in as. Default "", which is Redis's default user.
	User string `yaml:"user" max:"128"`
	// The file with the password, by its absolute path, read at the start; the environment variable USHER_REDIS_PASSWORD goes before it. Default "", which
	// is no password.
	PasswordFile string `yaml:"password_file" max:"4096"`
	// Whom to log in as at the Sentinels, which have users of their own. Only with mode sentinel. Default "", which is their default user.
	SentinelUser string `yaml:"sentinel_user" max:"128"`
	// The file with the Sentinels' password, by its absolute path; that of the servers is not tried there. USHER_REDIS_SENTINEL_PASSWORD goes before it.
	// Only with mode sentinel. Default "", which is no password.
	SentinelPasswordFile string `yaml:"sentinel_password_file" max:"4096"`
	// The number of the database; a Cluster has only 0. Default 0.
	Database int `yaml:"database" min:"0" max:"65535"`
	// What ushers that share one truth have in common, at most 64 bytes without braces. All keys begin with usher:{NAMESPACE}: and lie on one
	// master of a Cluster. Default default.
	Namespace string `yaml:"namespace" max:"64"`
	// How to trust the server; only with rediss://.
	TLS RedisTLS `yaml:"tls"`
	// How long a Select may spend on Redis each time it asks for an account, and any other call may take, before it has failed; from 1ms
	// to 10s. Default 50ms.
	Budget time.Duration `yaml:"budget" min:"1ms" max:"10s"`
	// How long the leases that an usher looks after stand after its last sign of life; it gives one every third of that. From 1s to 1h, and the
	// same for all ushers of a namespace. Default 30s.
	StoreLeaseTTL time.Duration `yaml:"store_lease_ttl" min:"1s" max:"1h"`
	// The loads that a Select without a conversation, a request id or a cap of its tenant decides by: fresh asks for them first, cached takes those that
	// came with another answer, at most 50 ms old, and saves a round trip. A limit is never passed by it. Default fresh.
	LoadView string `yaml:"load_view" allowed:"fresh cached"`
	// Whose reports the averages of errors and first-token times are of: local is each usher's own, shared is those of all ushers of the namespace with
	// stats: shared, which exchange them every 2 s. Default local.
	Stats string `yaml:"stats" allowed:"local shared"`
	// What happens while Redis is out of reach: local_share grants each usher its part of the slots, local_full grants as if it were alone,
	// fail_closed grants nothing and answers UNAVAILABLE. Answers say degraded meanwhile. Default local_share.
	OnStoreError string `yaml:"on_store_error" allowed:"local_share local_full fail_closed"`
	// How long after the begin of an outage most leases of before it have ended: until then an usher has what it holds and its part of what was free,
	// afterwards its exact part of the limits. From 1s to 24h. Default 10m.
	LocalSettle time.Duration `yaml:"local_settle" min:"1s" max:"24h"`
	// How many ushers share the limits when one starts without Redis and has never heard of the others. Default 1.
	Replicas int `yaml:"replicas" min:"1" max:"10000"`
}

// RedisTLS says how to trust a server. All files are read at the start.
type RedisTLS struct {
	// The file with the certificates of authorities to trust, PEM, by its absolute path. Default "", which is those of the system.
	CAFile string `yaml:"ca_file" max:"4096"`
	// The file with usher's own certificate, PEM, by its absolute path; with key_file. Default "", which is none.
	CertFile string `yaml:"cert_file" max:"4096"`
	// The file with its key. Default "".
	KeyFile string `yaml:"key_file" max:"4096"`
	// The name that the server's certificate must be for. Default "", which is the host of its address.
	ServerName string `yaml:"server_name" max:"255"`
}

func defaultRedis() Redis {
	return Redis{
		Mode: ModeSingle, Namespace: "default", Budget: 50 * time.Millisecond, StoreLeaseTTL: 30 * time.Second,
		OnStoreError: outage.LocalShare.String(), LocalSettle: outage.DefaultSettle, Replicas: 1, LoadView: "fresh",
		Stats: "local",
	}
}

// StoreName says for people where the store is.
func (c *Config) StoreName() string {
	if len(c.Redis.URLs) == 0 {
		return "memory"
	}
	return strings.Join(c.Redis.URLs, ",")
}

// StoreError tells why no store can be what the whole of a configuration, with what a command line added, says. Nil is none.
func (c *Config) StoreError() error {
	p := &problems{}
	checkStore(p, c)
	errs := make([]error, 0, len(p.found))
	for _, problem := range p.found {
		errs = append(errs, fmt.Errorf("%s: %s", problem.Field, problem.Text))
	}
	return errors.Join(errs...)
}

// checkStore records what depends on redis.urls, which may be given on the command line.
func checkStore(p *problems, c *Config) {
	r := &c.Redis
	if len(r.URLs) == 0 {
		if !reflect.DeepEqual(*r, defaultRedis()) {
			p.add("redis.urls", "is empty, so that nothing else in redis has an effect; allowed: at least one URL, here or as serve --redis URL")
		}
		return
	}
	if c.Memory.StateFile != "" {
		p.add("memory.state_file", "is for the store in memory, and redis.urls (or serve --redis) says Redis, which keeps what is held itself: leave one of the two out")
	}
	checkURLs(p, r)
	if tls := r.TLS; tls != (RedisTLS{}) && !r.Encrypted() {
		p.add("redis.tls", "is only for rediss:// URLs")
	}
}

func checkURLs(p *problems, r *Redis) {
	for i, text := range r.URLs {
		if _, _, err := splitURL(text); err != nil {
			p.add(fmt.Sprintf("redis.urls[%d]", i), "%v; allowed: redis://HOST[:PORT], rediss://HOST[:PORT] or unix:///PATH", err)
			return
		}
	}
	checkRepeats(p, "redis.urls", r.URLs) // which repeats what is in them
	first, _, _ := splitURL(r.URLs[0])
	for i, text := range r.URLs {
		if scheme, _, _ := splitURL(text); scheme != first {
			p.add(fmt.Sprintf("redis.urls[%d]", i), "is %s:, and the first is %s:; allowed: one kind for all", scheme, first)
		}
	}
	switch {
	case r.Mode == ModeSingle && len(r.URLs) > 1:
		p.add("redis.urls", "has %d URLs, and redis.mode is single; allowed: one, or mode sentinel or cluster", len(r.URLs))
	case r.Mode != ModeSingle && first == "unix":
		p.add("redis.urls", "is a Unix socket, and redis.mode is %s; allowed: redis:// and rediss://", r.Mode)
	}
}

// checkRedis records what is wrong whatever urls are.
func checkRedis(p *problems, r *Redis) {
	if r.Namespace == "" || strings.ContainsAny(r.Namespace, "{}") {
		p.add("redis.namespace", "is %q; allowed: text without braces", r.Namespace)
	}
	switch {
	case r.Mode == ModeSentinel && r.Master == "":
		p.add("redis.master", "is needed with redis.mode sentinel: the name that the Sentinels know the master by")
	case r.Mode != ModeSentinel && r.Master != "":
		p.add("redis.master", "is only for redis.mode sentinel; the mode is %s", r.Mode)
	case r.Mode != ModeSentinel && r.SentinelUser != "":
		p.add("redis.sentinel_user", "is only for redis.mode sentinel; the mode is %s", r.Mode)
	case r.Mode != ModeSentinel && r.SentinelPasswordFile != "":
		p.add("redis.sentinel_password_file", "is only for redis.mode sentinel; the mode is %s", r.Mode)
	case r.Mode == ModeCluster && r.Database != 0:
		p.add("redis.database", "is %d; a Cluster has only 0", r.Database)
	}
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") {
		p.add("redis.tls", "cert_file and key_file go together, and one of them is missing")
	}
	for _, file := range []struct{ field, path string }{
		{"password_file", r.PasswordFile},
		{"sentinel_password_file", r.SentinelPasswordFile},
		{"tls.ca_file", r.TLS.CAFile},
		{"tls.cert_file", r.TLS.CertFile},
		{"tls.key_file", r.TLS.KeyFile},
	} {
		if file.path != "" && !filepath.IsAbs(file.path) {
			p.add("redis."+file.field, "is %q; allowed: the absolute path of a file", file.path)
		}
	}
}

// Encrypted says whether its URLs ask for TLS.
func (r *Redis) Encrypted() bool {
	return slices.ContainsFunc(r.URLs, func(u string) bool { return strings.HasPrefix(u, "rediss:") })
}

// Addresses gives what URLs name, as HOST:PORT or unix:///PATH. Errors: none after a StoreError of nil.
func (r *Redis) Addresses() ([]string, error) {
	out := make([]string, 0, len(r.URLs))
	for _, text := range r.URLs {
		_, address, err := splitURL(text)
		if err != nil {
			return nil, err
		}
		out = append(out, address)
	}
	return out, nil
}

// CheckRedisURL tells what is wrong with a URL of Redis.
func CheckRedisURL(text string) error {
	_, _, err := splitURL(text)
	return err
}

// splitURL gives the scheme of a URL and the address that it names. Errors repeat nothing that may be a password.
func splitURL(text string) (scheme, address string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", errors.New("is not a URL")
	}
	switch {
	case u.User != nil:
		return "", "", errors.New("has a user or a password in it: they belong in redis.user, and in redis.password_file or USHER_REDIS_PASSWORD")
	case u.RawQuery != "" || u.Fragment != "":
		return "", "", errors.New("has more than an address in it")
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) || filepath.Clean(u.Path) == "/" {
			return "", "", errors.New("does not name the absolute path of a socket")
		}
		return u.Scheme, "unix://" + u.Path, nil
	case "redis", "rediss":
		if u.Path != "" && u.Path != "/" {
			return "", "", errors.New("has a path in it: the number of a database belongs in redis.database")
		}
		port := u.Port()
		if port == "" {
			port = "6379"
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || u.Hostname() == "" {
			return "", "", errors.New("does not name a host and a port")
		}
		return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
	default:
		return "", "", errors.New("is not a URL of Redis")
	}
}

// ShareStatsEvery is stats in core's terms, where 0 shares nothing.
func (r *Redis) ShareStatsEvery() time.Duration {
	if r.Stats == "shared" {
		return core.DefaultShareStatsEvery
	}
	return 0
}

// OutageMode gives what happens while Redis is out of reach.
func (r *Redis) OutageMode() outage.Mode {
	for _, m := range outage.Modes() {
		if m.String() == r.OnStoreError {
			return m
		}
	}
	return outage.LocalShare
}
