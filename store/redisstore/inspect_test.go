package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"usher.internal/store/storetest"
)

// dumpScript reads all that a namespace has as of one instant: key, type, time to live and content of each.
const dumpScript = `
local out = {}
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. '*')) do
  local kind = redis.call('TYPE', key).ok
  local content
  if kind == 'string' then content = { redis.call('GET', key) }
  elseif kind == 'hash' then content = redis.call('HGETALL', key)
  elseif kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then content = redis.call('SMEMBERS', key)
  else content = redis.call('LRANGE', key, 0, -1) end
  out[#out + 1] = { string.sub(key, #KEYS[1] + 1), kind, redis.call('PTTL', key), content }
end
return out`

// part is one key of a namespace.
type part struct {
	kind    string
	ttl     int64 // milliseconds; negative for none
	content []string
}

// pairs gives the content of a hash, or of a sorted set with its scores.
func (p part) pairs() map[string]string {
	all := make(map[string]string, len(p.content)/2)
	for i := 1; i < len(p.content); i += 2 {
		value := p.content[i]
		if p.kind == "zset" {
			if score, err := strconv.ParseFloat(value, 64); err == nil {
				value = strconv.FormatFloat(score, 'f', 0, 64)
			}
		}
		all[p.content[i-1]] = value
	}
	return all
}

// namespace is all that a server keeps under a prefix.
type namespace map[string]part

// look reads a namespace.
func look(t storetest.TB, client rueidis.Client, prefix string) namespace {
	t.Helper()
	keys, err := client.Do(context.Background(), client.B().Eval().Script(dumpScript).Numkeys(1).Key(prefix).Build()).ToArray()
	if err != nil {
		t.Fatalf("look: %v", err)
	}
	all := make(namespace, len(keys))
	for _, key := range keys {
		fields, err := key.ToArray()
		if err != nil || len(fields) != 4 {
			t.Fatalf("look: %v %v", fields, err)
		}
		name, _ := fields[0].ToString()
		kind, _ := fields[1].ToString()
		ttl, _ := fields[2].AsInt64()
		content, err := fields[3].AsStrSlice()
		if err != nil {
			t.Fatalf("look: %s: %v", name, err)
		}
		all[name] = part{kind: kind, ttl: ttl, content: content}
	}
	return all
}

// kinds are the keys that a namespace may have, by what is before a colon.
var kinds = map[string]string{
	"L": "string", "A": "hash", "N": "hash", "l:": "string", "x": "zset", "q": "hash", "o:": "set", "h:": "string", "t": "hash", "tw": "hash",
	"wr": "hash", "w": "hash", "T": "zset", "F": "hash", "n:": "string", "b:": "string", "s:": "string",
	"c": "hash", "a": "hash", "as": "hash", "ar": "string", "r": "zset", "e": "list", "K": "string",
	"g": "hash", "k": "zset", "at": "hash", "dying": "hash", "m": "hash",
}

// lapses are those whose keys end by themselves.
var lapses = map[string]bool{"n:": true, "h:": true, "b:": true, "s:": true, "m": true}

// inspection derives every count of a namespace again from its records.
type inspection struct {
	namespace
	faults []string

	use, wait, probes       map[string]int // by place
	tenants, waits, keepers map[string]int
	owners                  map[string]map[string]bool
	requests, ends          map[string]string
}

// Inspect says what does not agree in a namespace.
func Inspect(all namespace) []string {
	i := &inspection{
		namespace: all, use: map[string]int{}, wait: map[string]int{}, probes: map[string]int{}, tenants: map[string]int{},
		waits: map[string]int{}, keepers: map[string]int{}, owners: map[string]map[string]bool{},
		requests: map[string]string{}, ends: map[string]string{},
	}
	i.keys()
	i.leases()
	i.waiters()
	i.places()
	i.same("t", text(i.tenants))
	i.same("tw", text(i.waits))
	i.same("wr", text(i.keepers))
	i.same("q", i.requests)
	i.same("x", i.ends)
	for keeper := range all["wr"].pairs() {
		if _, ok := all["T"].pairs()[keeper]; !ok {
			i.fault("replica %s has waiters and no turn", keeper)
		}
	}
	if got, want := len(all["T"].pairs()), len(i.keepers); got != want {
		i.fault("%d replicas have turns, %d have waiters", got, want)
	}
	for field, value := range all["c"].pairs() {
		if _, ok := readCooldown(field, value); !ok {
			i.fault("deadline %q: %q", field, value)
		}
	}
	for _, told := range all["e"].content {
		id, text, _ := strings.Cut(told, " ")
		if _, err := readRecord(id, text); err != nil {
			i.fault("told of %q: %v", told, err)
		}
	}
	return i.faults
}

func (i *inspection) fault(format string, args ...any) {
	i.faults = append(i.faults, fmt.Sprintf(format, args...))
}

// keys wants every key to be of a kind, and to end by itself if that kind does.
func (i *inspection) keys() {
	for name, p := range i.namespace {
		kind, _, ok := strings.Cut(name, ":")
		if ok {
			kind += ":"
		}
		if want := kinds[kind]; want == "" || want != p.kind {
			i.fault("key %q is a %s, of no kind that is known", name, p.kind)
		}
		lapse := lapses[kind] || kind == "l:" && strings.HasPrefix(p.content[0], "!")
		if lapse != (p.ttl > 0) {
			i.fault("key %q ends in %d ms", name, p.ttl)
		}
	}
}

func (i *inspection) leases() {
	for name, p := range i.namespace {
		id, ok := strings.CutPrefix(name, "l:")
		if !ok || p.content[0][0] == '!' {
			continue
		}
		record := p.content[0]
		r, err := readRecord(id, record)
		if err != nil {
			i.fault("lease %s: %v", id, err)
			continue
		}
		fields := strings.Fields(record[recordFixed:])
		place, flags, request, ends, keeper := strconv.FormatInt(r.place, 10), fields[0], fields[2], record[expiresAt:][:timeSize], r.keeper
		i.use[place]++
		if strings.Contains(flags, "p") {
			i.probes[place]++
		}
		if r.lease.Tenant != "" {
			i.tenants[r.lease.Tenant]++
		}
		if name := r.lease.Owner.Name; name != "" {
			if i.owners[name] == nil {
				i.owners[name] = map[string]bool{}
			}
			i.owners[name][id] = true
		}
		if request != "-" {
			i.requests[request] = id
		}
		i.ends[id] = ends
		if keeper == "" {
			i.fault("lease %s has nobody who looks after it", id)
		}
	}
	held := 0
	for name, p := range i.namespace {
		owner, ok := strings.CutPrefix(name, "o:")
		if !ok {
			continue
		}
		held++
		if want := i.owners[owner]; len(want) != len(p.content) {
			i.fault("owner %q has %d leases, derived %d", owner, len(p.content), len(want))
		}
		for _, id := range p.content {
			if !i.owners[owner][id] {
				i.fault("owner %q has lease %s, which is not", owner, id)
			}
		}
	}
	if held != len(i.owners) {
		i.fault("%d owners are known, derived %d", held, len(i.owners))
	}
}

func (i *inspection) waiters() {
	ends := i.namespace["x"].pairs()
	for id, record := range i.namespace["w"].pairs() {
		fields := strings.SplitN(record, " ", 3)
		if len(fields) != 3 {
			i.fault("waiter %s: %q", id, record)
			continue
		}
		if fields[0] != "-1" {
			i.wait[fields[0]]++
		}
		i.keepers[fields[1]]++
		if fields[2] != "" {
			i.waits[fields[2]]++
		}
		if i.ends["!"+id] = ends["!"+id]; ends["!"+id] == "" {
			i.fault("waiter %s has no end", id)
		}
	}
}

// places wants the loads to be what was derived, and each account to have one place.
func (i *inspection) places() {
	ids, names, loads := i.namespace["A"].pairs(), i.namespace["N"].pairs(), strings.Join(i.namespace["L"].content, "")
	if len(i.namespace) == 0 {
		return
	}
	if len(names) != len(ids) || len(loads) != headSize+len(ids)*loadWidth && loads != "" {
		i.fault("%d accounts, %d names, loads of %d", len(ids), len(names), len(loads))
		return
	}
	for place := range i.namespace["k"].pairs() {
		if names[place] == "" {
			i.fault("place %s was listed, and is nobody's", place)
		}
	}
	seen := 0
	for id, place := range ids {
		n, err := strconv.Atoi(place)
		if err != nil || n < 0 || n >= len(ids) || names[place] != id {
			i.fault("account %q is at %s, where %q is", id, place, names[place])
			continue
		}
		if loads == "" {
			continue
		}
		seen += i.use[place] + i.wait[place]
		one := loads[headSize+n*loadWidth:][:loadWidth]
		use, wait, probes := int(number64(one)), int(number64(one[3:])), int(one[9]-'0')
		if use != i.use[place] || wait != i.wait[place] || probes != i.probes[place] {
			i.fault("account %q has in use %d, waiting %d, probes %d; derived %d, %d, %d",
				id, use, wait, probes, i.use[place], i.wait[place], i.probes[place])
		}
	}
	for _, n := range i.use {
		seen -= n
	}
	for _, n := range i.wait {
		seen -= n
	}
	if seen != 0 && loads != "" {
		i.fault("what is on no account: %d", -seen)
	}
}

// same wants a hash or a sorted set to be what was derived.
func (i *inspection) same(name string, want map[string]string) {
	got := i.namespace[name].pairs()
	for key, value := range want {
		if got[key] != value {
			i.fault("%s: %q is %q, derived %q", name, key, got[key], value)
		}
	}
	for key, value := range got {
		if _, ok := want[key]; !ok {
			i.fault("%s: %q is %q, derived none", name, key, value)
		}
	}
}

func text(counts map[string]int) map[string]string {
	all := make(map[string]string, len(counts))
	for key, n := range counts {
		all[key] = strconv.Itoa(n)
	}
	return all
}

// sound fails the test when something in a store's namespace does not agree.
func sound(t storetest.TB, client rueidis.Client, prefix string) namespace {
	t.Helper()
	all := look(t, client, prefix)
	for _, fault := range Inspect(all) {
		t.Errorf("%s%s", prefix, fault)
	}
	return all
}

// TestInspect plants faults in a namespace, each of which has to be found.
func TestInspect(t *testing.T) {
	for _, fault := range [][]string{
		{"SETRANGE", "L", strconv.Itoa(headSize), "002"},
		{"HDEL", "N", "0"},
		{"HINCRBY", "t", "tenant", "1"},
		{"ZREM", "x", "!waiter"},
		{"ZADD", "x", "1", "nobody"},
		{"SADD", "o:owner", "nobody"},
		{"HSET", "q", "request", "nobody"},
		{"HDEL", "wr", "replica"},
		{"SET", "l:mark", "!-d 0 000 1"},
		{"SET", "stray", "1"},
		{"HSET", "c", "9:a", "1 1"},
		{"RPUSH", "e", "id record"},
	} {
		t.Run(fault[0]+" "+fault[1], func(t *testing.T) {
			w := newMiniWorld(t)
			s := w.replica(t)
			w.fill(t, s)
			client := w.client(t)
			sound(t, client, s.prefix[0])
			words := append([]string{fault[0], s.prefix[0] + fault[1]}, fault[2:]...)
			for i, word := range words {
				if word == "!waiter" {
					words[i] = "!" + key(waiterID(1))
				}
				if word == "replica" {
					words[i] = s.replica
				}
			}
			if err := client.Do(t.Context(), client.B().Arbitrary(words...).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			if Inspect(look(t, client, s.prefix[0])) == nil {
				t.Error("it was not found")
			}
		})
	}
}
