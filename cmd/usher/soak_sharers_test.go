package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

const (
	replicas = 3
	// redisBudget is a loaded machine's, patientBudget is for where Redis always answers, or is known to be away at once.
	redisBudget   = "500ms"
	patientBudget = "10s"
	// sharersLife is how long leases outlive one of several ushers.
	sharersLife = 3 * time.Second
)

// replicaLimits has a slot for each client of several ushers, tightLimits has not.
var (
	replicaLimits = soakPool{"a": 10, "b": 10, "c": 10, "d": 10, "e": 10, "f": 10, "g": 10, "h": 10}
	tightLimits   = soakPool{"a": 4, "b": 4, "c": 4, "d": 4, "e": 4, "f": 4, "g": 4, "h": 4}
)

// shared is the Redis that several ushers share; one of single, sentinel and cluster is there.
type shared struct {
	single   *redistest.Server
	sentinel *redistest.Sentinel
	cluster  *redistest.Cluster
	// where says to an usher's file where it is.
	where string
}

func onSingle(t *testing.T) *shared {
	t.Helper()
	s := &shared{single: redistest.Single(t)}
	s.where = "urls: ['unix://" + s.single.Socket() + "']"
	return s
}

func onSentinel(t *testing.T) *shared {
	t.Helper()
	s := &shared{sentinel: redistest.NewSentinel(t)}
	s.where = fmt.Sprintf("mode: sentinel, master: %s, %s", redistest.MasterName, urls(s.sentinel.Addrs()))
	return s
}

func onCluster(t *testing.T) *shared {
	t.Helper()
	s := &shared{cluster: redistest.NewCluster(t)}
	s.where = "mode: cluster, " + urls(s.cluster.Addrs())
	return s
}

func urls(addresses []string) string {
	return "urls: ['redis://" + strings.Join(addresses, "', 'redis://") + "']"
}

// keyPrefix begins all keys of the namespace.
const keyPrefix = "usher:{default}:"

// keeper waits until it is known which server has the namespace, and gives it.
func (s *shared) keeper() *redistest.Server {
	switch {
	case s.sentinel != nil:
		return s.sentinel.Master()
	case s.cluster != nil:
		return s.cluster.MasterOf(keyPrefix)
	}
	return s.single
}

// sharers are several ushers on one Redis.
type sharers struct {
	redis *shared
	confs []string
	all   []*server
	tell  []usherv1.MetricsServiceClient // of each
	// since is when the work began; after that, Redis went away when lost, and was back when found.
	since       time.Time
	lost, found time.Duration
	// again is when all ushers shared again.
	again time.Duration
}

func newSharers(t *testing.T, redis *shared, pool soakPool, budget string) *sharers {
	t.Helper()
	s := &sharers{redis: redis}
	for range replicas {
		s.add(t, pool.config("unix://"+socketPath(t))+"policy: {top_k: 8}\n", redis.where+", budget: "+budget)
	}
	return s
}

// add starts one more usher, of which the file says besides how it has Redis.
func (s *sharers) add(t *testing.T, conf, redis string) {
	t.Helper()
	s.confs = append(s.confs, file(t, fmt.Sprintf("%sredis: {%s, store_lease_ttl: %v}\n", conf, redis, sharersLife)))
	s.all = append(s.all, nil)
	s.start(t, len(s.all)-1)
}

func (s *sharers) start(t *testing.T, i int) {
	t.Helper()
	s.all[i] = serve(t, "--config", s.confs[i])
	if i == len(s.tell) {
		s.tell = append(s.tell, usherv1.NewMetricsServiceClient(dial(t, s.all[i].addresses[0], eager)))
	}
}

// metrics asks one of them.
func (s *sharers) metrics(t *testing.T, i int) *usherv1.MetricsSnapshot {
	t.Helper()
	resp, err := s.tell[i].GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetSnapshot()
}

// inUse is what one of them tells of all accounts.
func (s *sharers) inUse(t *testing.T, i int) (n int) {
	t.Helper()
	for _, a := range s.metrics(t, i).GetAccounts() {
		n += int(a.GetInUse())
	}
	return n
}

// restart kills one replica and starts it again.
func (s *sharers) restart(t *testing.T, i int) {
	t.Helper()
	s.all[i].signal(t, syscall.SIGKILL)
	<-s.all[i].ended
	s.start(t, i)
}

// awaitShared waits until all ushers share again.
func (s *sharers) awaitShared(t *testing.T) {
	t.Helper()
	for i := range s.all {
		eventually(t, fmt.Sprintf("usher %d shares again", i), func() bool { return !s.metrics(t, i).GetDegraded() })
	}
	s.again = time.Since(s.since)
}

// spread asks one usher after the other.
type spread struct {
	usherv1.SchedulerServiceClient
	all  []usherv1.SchedulerServiceClient
	next *atomic.Int64
}

func (s *sharers) spread(t *testing.T) spread {
	t.Helper()
	out := spread{next: new(atomic.Int64)}
	for _, usher := range s.all {
		out.all = append(out.all, usherv1.NewSchedulerServiceClient(dial(t, usher.addresses[0], eager)))
	}
	return out
}

func (s spread) any() usherv1.SchedulerServiceClient {
	return s.all[int(s.next.Add(1))%len(s.all)]
}

// Select asks any of them.
func (s spread) Select(ctx context.Context, req *usherv1.SelectRequest, opts ...grpc.CallOption) (*usherv1.SelectResponse, error) {
	return s.any().Select(ctx, req, opts...)
}

// Report tells any of them.
func (s spread) Report(ctx context.Context, req *usherv1.ReportRequest, opts ...grpc.CallOption) (*usherv1.ReportResponse, error) {
	return s.any().Report(ctx, req, opts...)
}

func metrics(t *testing.T, s *server) *usherv1.MetricsSnapshot {
	t.Helper()
	resp, err := usherv1.NewMetricsServiceClient(s.dial(t)).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetSnapshot()
}
