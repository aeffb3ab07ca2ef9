package redisstore

import (
	"fmt"
	"testing"
	"time"

	"usher.internal/store/storetest/redistest"
)

// TestFailoverThatDoesNotEnd: the Sentinel that leads a failover tells of the new master when all replicas follow it. Who listens to that
// one does not wait so long.
func TestFailoverThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	for name, fail := range map[string]func(*redistest.Server){"killed": (*redistest.Server).Kill, "standing still": (*redistest.Server).Pause} {
		t.Run(name, func(t *testing.T) {
			sentinel := redistest.NewSentinel(t)
			var all []*Store
			for _, address := range sentinel.Addrs() { // one of them will lead
				all = append(all, open(t, Options{Server: Server{Addresses: []string{address}, Master: redistest.MasterName}, Budget: time.Second}))
			}
			for _, replica := range sentinel.Servers()[1:] { // the one that is not promoted cannot follow
				replica.Must("CONFIG", "SET", "masterauth", "none")
			}
			was := sentinel.Master()
			fail(was)
			until(t, "another is the master", func() bool { return sentinel.Master() != was })
			for _, one := range sentinel.Sentinels() {
				one.Must("SENTINEL", "SET", redistest.MasterName, "failover-timeout", "3600000")
			}
			for i, s := range all {
				until(t, fmt.Sprintf("store %d has gone over", i), func() bool { return s.beat(t.Context()) == nil })
			}
		})
	}
}
