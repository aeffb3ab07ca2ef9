package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// redisIn is a file with this in its section redis, on line 3.
func redisIn(section string) string { return "accounts: []\nredis:\n  {" + section + "}\n" }

func TestRedisRefuses(t *testing.T) {
	const one = "urls: ['redis://h']"
	for name, c := range map[string]struct{ section, want string }{
		"scheme":            {"urls: ['http://h']", "f.yaml:3: redis.urls[0]: is not a URL of Redis; allowed: redis://HOST[:PORT]"},
		"address":           {"urls: ['h:6379']", "redis.urls[0]: is not a URL of Redis"},
		"no host":           {"urls: ['redis://:6379']", "does not name a host and a port"},
		"port":              {"urls: ['redis://h:0']", "does not name a host and a port"},
		"database":          {"urls: ['redis://h/2']", "belongs in redis.database"},
		"query":             {"urls: ['redis://h?db=2']", "has more than an address in it"},
		"relative socket":   {"urls: ['unix://run/redis.sock']", "does not name the absolute path"},
		"twice":             {"mode: cluster, urls: ['redis://h', 'redis://h']", "redis.urls[1]: \"redis://h\" is given twice"},
		"mixed":             {"mode: cluster, urls: ['redis://a', 'rediss://b']", "redis.urls[1]: is rediss:, and the first is redis:"},
		"two singles":       {"urls: ['redis://a', 'redis://b']", "redis.urls: has 2 URLs, and redis.mode is single"},
		"cluster socket":    {"mode: cluster, urls: ['unix:///a']", "redis.urls: is a Unix socket, and redis.mode is cluster"},
		"mode":              {one + ", mode: auto", "redis.mode: \"auto\" is not allowed; allowed: single, sentinel, cluster"},
		"no master":         {one + ", mode: sentinel", "redis.master: is needed with redis.mode sentinel"},
		"master":            {one + ", master: m", "redis.master: is only for redis.mode sentinel; the mode is single"},
		"sentinel password": {one + ", sentinel_password_file: /a", "redis.sentinel_password_file: is only for redis.mode sentinel"},
		"sentinel user":     {one + ", sentinel_user: u", "redis.sentinel_user: is only for redis.mode sentinel"},
		"cluster database":  {one + ", mode: cluster, database: 1", "redis.database: is 1; a Cluster has only 0"},
		"braces":            {one + ", namespace: 'a{b'", "redis.namespace: is \"a{b\"; allowed: text without braces"},
		"blank namespace":   {one + ", namespace: ''", "redis.namespace: is \"\"; allowed"},
		"long namespace":    {one + ", namespace: " + strings.Repeat("n", 65), "redis.namespace: has 65 bytes; allowed: at most 64"},
		"relative file":     {one + ", password_file: secret", "redis.password_file: is \"secret\"; allowed: the absolute path"},
		"plain TLS":         {one + ", tls: {ca_file: /ca.pem}", "redis.tls: is only for rediss:// URLs"},
		"half a pair":       {"urls: ['rediss://h'], tls: {cert_file: /c.pem}", "redis.tls: cert_file and key_file go together"},
		"password":          {one + ", password: hunter2", "redis.password: unknown field; allowed here: urls, mode"},
		"budget":            {one + ", budget: 0s", "redis.budget: is 0s; allowed: from 1ms to 10s"},
		"short leases":      {one + ", store_lease_ttl: 10ms", "redis.store_lease_ttl: is 10ms; allowed: from 1s to 1h"},
		"stats":             {one + ", stats: global", "redis.stats: \"global\" is not allowed; allowed: local, shared"},
		"state file":        {one + "}\nmemory: {state_file: /state", "f.yaml:4: memory.state_file: is for the store in memory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(redisIn(c.section)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant in it\n%s", err, c.want)
			}
		})
	}
}

// TestRedisPasswordsAreNotRepeated: what is wrong with a URL is told without what is in it.
func TestRedisPasswordsAreNotRepeated(t *testing.T) {
	for _, u := range []string{"redis://:hunter2@h", "redis://u:hunter2@h:x", "redis://u:hunter2@h/1?a=b", "unix://u:hunter2@/a", "x://hunter2"} {
		_, err := Parse("f.yaml", []byte(redisIn("mode: cluster, urls: ['"+u+"', '"+u+"']")))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
		if err := CheckRedisURL(u); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestRedisIsRead(t *testing.T) {
	c, err := Parse("f.yaml", []byte(redisIn("mode: sentinel, master: m, urls: ['rediss://a', 'rediss://[::1]:26379/'], tls: {server_name: s}, budget: 10ms")))
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := c.Redis.Addresses()
	if err != nil || !slices.Equal(addresses, []string{"a:6379", "[::1]:26379"}) || !c.Redis.Encrypted() || c.Redis.Budget != 10*time.Millisecond {
		t.Errorf("%v, %v, %+v", addresses, err, c.Redis)
	}
	if c.Redis.ShareStatsEvery() != 0 {
		t.Error("statistics are shared unasked")
	}
	if c, err = Parse("f.yaml", []byte(redisIn("urls: ['unix:///run/redis.sock'], stats: shared"))); err != nil {
		t.Fatal(err)
	}
	if got := c.Redis.ShareStatsEvery(); got != 2*time.Second {
		t.Errorf("statistics are shared every %v", got)
	}
	if addresses, err = c.Redis.Addresses(); err != nil || !slices.Equal(addresses, []string{"unix:///run/redis.sock"}) {
		t.Errorf("%v, %v", addresses, err)
	}
}

// TestStoreErrorOfTheWhole: the URL may be on the command line, so a file alone is not wrong without it, and may become so with it.
func TestStoreErrorOfTheWhole(t *testing.T) {
	lacking, err := Parse("f.yaml", []byte(redisIn("namespace: n")))
	if err != nil {
		t.Fatal(err)
	}
	if err := lacking.StoreError(); err == nil || !strings.Contains(err.Error(), "redis.urls: is empty") {
		t.Errorf("without a URL: %v", err)
	}
	lacking.Redis.URLs = []string{"redis://h"}
	if err := lacking.StoreError(); err != nil {
		t.Errorf("with one: %v", err)
	}
	lacking.Memory.StateFile = "/state"
	if err := lacking.StoreError(); err == nil || !strings.Contains(err.Error(), "memory.state_file") {
		t.Errorf("with a state file: %v", err)
	}
	if err := Default().StoreError(); err != nil {
		t.Errorf("the default: %v", err)
	}
}
