package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

// storeLife is how long leases outlive an usher that is killed, storeLong how long they do where none is: no machine is busy for as long.
const (
	storeLife = 4 * time.Second
	storeLong = 5 * time.Minute
)

// sharing starts an usher on a shared store. Its budget is a loaded machine's.
func sharing(t *testing.T, redis *redistest.Server, accounts string, more ...string) *server {
	t.Helper()
	return sharingFor(t, redis, storeLong, accounts, more...)
}

// sharingFor is sharing for leases that outlive the usher for so long.
func sharingFor(t *testing.T, redis *redistest.Server, life time.Duration, accounts string, more ...string) *server {
	t.Helper()
	conf := file(t, fmt.Sprintf("accounts: %s\npolicy: {profile: reference}\nredis: {store_lease_ttl: %v, budget: 10s}%s", accounts, life, freePort))
	return serve(t, append([]string{"--config", conf, "--redis", "unix://" + redis.Socket()}, more...)...)
}

const success = usherv1.Outcome_OUTCOME_SUCCESS

// pair is two ushers on one Redis.
type pair struct {
	redis *redistest.Server
	a, b  *server
}

func newPair(t *testing.T, accounts string) *pair {
	t.Helper()
	redis := redistest.Single(t)
	return &pair{redis: redis, a: sharing(t, redis, accounts), b: sharing(t, redis, accounts)}
}

// wantInUse asks ushers how much of account a is in use.
func wantInUse(t *testing.T, when string, want uint32, ushers ...*server) {
	t.Helper()
	for i, s := range ushers {
		if n := find(t, s, "a").GetInUse(); n != want {
			t.Errorf("%s: usher %d tells of %d in use, want %d", when, i, n, want)
		}
	}
}

func TestTwoUshersOneTruth(t *testing.T) {
	if !redistest.Available() {
		return
	}
	t.Run("a session that is bound through one is a hit on the other", func(t *testing.T) {
		p := newPair(t, "[{id: a}, {id: b}, {id: c}, {id: d}, {id: e}]")
		a, b := p.a.scheduler(t), p.b.scheduler(t)
		for n := range 20 {
			req := &usherv1.SelectRequest{SessionHash: fmt.Sprintf("session %d", n)}
			first, second := choose(t, a, req), choose(t, b, req)
			if !second.GetDecision().GetStickySessionHit() || first.GetSelection().GetAccountId() != second.GetSelection().GetAccountId() {
				t.Errorf("session %d: %s, then %s, hit %v", n, first.GetSelection().GetAccountId(), second.GetSelection().GetAccountId(), second.GetDecision().GetStickySessionHit())
			}
		}
	})
	t.Run("a limit holds over both, and a lease is either's to report, once", func(t *testing.T) {
		p := newPair(t, "[{id: a, max_concurrency: 3}]")
		a, b := p.a.scheduler(t), p.b.scheduler(t)
		var tokens []string
		for _, client := range []usherv1.SchedulerServiceClient{a, b, a} {
			tokens = append(tokens, choose(t, client, &usherv1.SelectRequest{}).GetSelection().GetLeaseToken())
		}
		for i, client := range []usherv1.SchedulerServiceClient{a, b} {
			if resp, err := client.Select(t.Context(), &usherv1.SelectRequest{}); err != nil || resp.GetSelection() != nil {
				t.Errorf("usher %d goes beyond the limit: %v, %v", i, resp, err)
			}
		}
		wantInUse(t, "full", 3, p.a, p.b)
		if status := reported(t, b, tokens[0], success); status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			t.Errorf("a's lease at b: %v", status)
		}
		for i, client := range []usherv1.SchedulerServiceClient{a, b} {
			if status := reported(t, client, tokens[0], success); status != usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED {
				t.Errorf("again, at usher %d: %v", i, status)
			}
		}
		wantInUse(t, "one reported", 2, p.a, p.b)
		choose(t, b, &usherv1.SelectRequest{})
		wantInUse(t, "taken again", 3, p.a, p.b)
	})
}

// TestCooldownIsShared: what a report to one teaches of an account keeps the other from it.
func TestCooldownIsShared(t *testing.T) {
	if !redistest.Available() {
		return
	}
	p := newPair(t, "[{id: a}]")
	b := p.b.scheduler(t)
	token := choose(t, p.a.scheduler(t), &usherv1.SelectRequest{}).GetSelection().GetLeaseToken()
	_, err := b.Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event: &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{
			Outcome: usherv1.Outcome_OUTCOME_RATE_LIMITED, RetryAfter: durationpb.New(time.Hour),
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other usher knows", func() bool { return find(t, p.a, "a").GetBlockedUntil().IsValid() })
	if resp, err := p.a.scheduler(t).Select(t.Context(), &usherv1.SelectRequest{}); err != nil || resp.GetRefusal() == nil {
		t.Errorf("the cooling account gave %v, %v", resp, err)
	}
}

// TestUsherOfSeveralIsKilled: what it looked after ends within store_lease_ttl, what another does stands, and a start touches nothing.
func TestUsherOfSeveralIsKilled(t *testing.T) {
	if !redistest.Available() {
		return
	}
	const accounts = "[{id: a, max_concurrency: 9}]"
	redis := redistest.Single(t)
	p := &pair{redis: redis, a: sharingFor(t, redis, storeLife, accounts), b: sharingFor(t, redis, storeLife, accounts)}
	b := p.b.scheduler(t)
	var lost []string
	for range 4 {
		lost = append(lost, choose(t, p.a.scheduler(t), &usherv1.SelectRequest{}).GetSelection().GetLeaseToken())
	}
	kept := choose(t, b, &usherv1.SelectRequest{}).GetSelection().GetLeaseToken()
	wantInUse(t, "at first", 5, p.a, p.b)
	p.a.signal(t, syscall.SIGKILL)
	p.a.exit(t)
	since := time.Now()
	// One of its leases is taken up by the living one, as a gateway with a request under way does.
	if _, err := b.Renew(t.Context(), &usherv1.RenewRequest{LeaseTokens: lost[3:]}); err != nil {
		t.Fatal(err)
	}
	successor := sharingFor(t, p.redis, storeLife, accounts)
	if n := find(t, successor, "a").GetInUse(); n < 2 {
		t.Errorf("after a start %d in use, want the living one's 2 at least", n)
	}
	eventually(t, "the dead one's leases have ended", func() bool { return find(t, p.b, "a").GetInUse() == 2 })
	t.Logf("its leases had ended %v after the kill; store_lease_ttl is %v", time.Since(since).Round(10*time.Millisecond), storeLife)
	wantInUse(t, "after the kill", 2, p.b, successor)
	if status := reported(t, b, lost[0], success); status != usherv1.ReportStatus_REPORT_STATUS_LEASE_EXPIRED {
		t.Errorf("an ended lease: %v", status)
	}
	for _, token := range []string{lost[3], kept} {
		if status := reported(t, successor.scheduler(t), token, success); status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
			t.Errorf("a living lease, at the successor: %v", status)
		}
	}
	wantInUse(t, "at the end", 0, p.b, successor)
}

// TestDrainWaitsForItsOwn: what other ushers hold keeps none from its end.
func TestDrainWaitsForItsOwn(t *testing.T) {
	if !redistest.Available() {
		return
	}
	redis := redistest.Single(t)
	a := sharing(t, redis, "[{id: a}]", "--drain-timeout", "1h")
	b := sharing(t, redis, "[{id: a}]", "--drain-timeout", "1h")
	first, second := a.scheduler(t), b.scheduler(t)
	own := choose(t, first, &usherv1.SelectRequest{}).GetSelection().GetLeaseToken()
	choose(t, second, &usherv1.SelectRequest{})
	a.signal(t, syscall.SIGTERM)
	a.await(t, a.log, `"msg":"stopping"`, 1)
	if status := reported(t, first, own, success); status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("while it drains: %v", status)
	}
	if code := a.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantInUse(t, "after the drain", 1, b)
}

// TestStartsWithoutRedis: it serves, says what is lacking, and stops when it is told to.
func TestStartsWithoutRedis(t *testing.T) {
	conf := file(t, "accounts: [{id: a, max_concurrency: 1}]"+freePort)
	for mode, serves := range map[string]bool{"local_share": true, "fail_closed": false} {
		t.Run(mode, func(t *testing.T) {
			conf := file(t, strings.TrimSuffix(read(t, conf), "\n")+"\nredis: {urls: ['redis://127.0.0.1:1'], on_store_error: "+mode+"}\n")
			s := launch(t, []string{"USHER_REDIS_PASSWORD=hunter2"}, "--config", conf, "--drain-timeout", "1h")
			s.await(t, s.log, "the store is out of reach", 1)
			s.addresses = servingAt(t, s)
			resp, err := s.scheduler(t).Select(t.Context(), &usherv1.SelectRequest{})
			if serves && (err != nil || resp.GetSelection() == nil || !resp.GetDecision().GetDegraded()) {
				t.Errorf("answered %v, %v", resp, err)
			}
			if !serves && status.Code(err) != codes.Unavailable {
				t.Errorf("answered %v, %v", resp, err)
			}
			s.signal(t, syscall.SIGTERM)
			if resp.GetSelection() != nil {
				reported(t, s.scheduler(t), resp.GetSelection().GetLeaseToken(), success)
			}
			if code := s.exit(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if text, _ := s.log.state(); strings.Contains(text, "hunter2") {
				t.Errorf("the log has the password:\n%s", text)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestGoesOnWithoutRedis: what was granted before can be reported meanwhile, and is known to all when Redis is back.
func TestGoesOnWithoutRedis(t *testing.T) {
	if !redistest.Available() {
		return
	}
	redis := redistest.Single(t)
	a, b := sharing(t, redis, "[{id: a, max_concurrency: 6}]"), sharing(t, redis, "[{id: a, max_concurrency: 6}]")
	first := a.scheduler(t)
	before := choose(t, first, &usherv1.SelectRequest{}).GetSelection().GetLeaseToken()
	redis.Kill()
	meanwhile := choose(t, first, &usherv1.SelectRequest{})
	if !meanwhile.GetDecision().GetDegraded() || !metrics(t, a).GetDegraded() {
		t.Errorf("not told as degraded: %v", meanwhile)
	}
	if status := reported(t, first, before, success); status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("what was granted before: %v", status)
	}
	redis.Start()
	for _, s := range []*server{a, b} {
		eventually(t, "Redis is shared again", func() bool { return !metrics(t, s).GetDegraded() })
	}
	wantInUse(t, "when Redis is back", 1, a, b)
	if status := reported(t, b.scheduler(t), meanwhile.GetSelection().GetLeaseToken(), success); status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("what was granted meanwhile, reported at the other: %v", status)
	}
	wantInUse(t, "at the end", 0, a, b)
}
