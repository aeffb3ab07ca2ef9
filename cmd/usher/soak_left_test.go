package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// standing are the keys that stay as long as ushers use a namespace, whatever they did: store/redisstore's doc.go says what is in them.
var standing = []string{"L", "A", "N", "k", "F", "K", "r", "g", "at"}

// awaitNothingLeft is after the work, when all was given back or ends by itself: nothing stays in use, and no key in Redis that neither ends
// nor belongs to accounts or ushers that are there.
func (s *sharers) awaitNothingLeft(t *testing.T) {
	t.Helper()
	since := time.Now()
	for i := range s.all {
		eventually(t, fmt.Sprintf("nothing in use as usher %d tells", i), func() bool { return s.inUse(t, i) == 0 })
	}
	t.Logf("nothing in use %v after the last client's end; store_lease_ttl is %v", time.Since(since).Round(time.Millisecond), sharersLife)
	redis := s.redis.keeper()
	left := ""
	gone := func() bool {
		left = strings.Join(s.endless(t), " ")
		for _, hash := range []string{"r", "g"} {
			if n := redis.Must("EVAL", "return redis.call('TYPE', ARGV[1]).ok == 'zset' and redis.call('ZCARD', ARGV[1]) or redis.call('HLEN', ARGV[1])", "0", keyPrefix+hash); n != fmt.Sprint(len(s.all)) {
				left += fmt.Sprintf(" %s of %s ushers", hash, n)
			}
		}
		return left == ""
	}
	for deadline := time.Now().Add(patience); !gone() && time.Now().Before(deadline); {
		pause(t.Context(), pollEvery)
	}
	if left != "" {
		t.Errorf("left in Redis without an owner or an end: %s", left)
	}
	t.Logf("nothing left without an owner or an end %v after the last client's end", time.Since(since).Round(time.Millisecond))
}

// endless lists the keys of the namespace that neither end nor are standing.
func (s *sharers) endless(t *testing.T) (out []string) {
	t.Helper()
	const script = `local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2] .. '*', 'COUNT', 1000)
		local out = { found[1] }
		for _, key in ipairs(found[2]) do
			if redis.call('PTTL', key) == -1 then out[#out + 1] = string.sub(key, #ARGV[2] + 1) end
		end
		return out`
	redis := s.redis.keeper()
	for cursor := "0"; ; {
		got, err := redis.Do("EVAL", script, "0", cursor, keyPrefix)
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := got.([]any)
		for _, key := range rows[1:] {
			if name := fmt.Sprint(key); !slices.Contains(standing, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		if cursor = fmt.Sprint(rows[0]); cursor == "0" {
			return out
		}
	}
}
