package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// pollEvery is the pause between two looks at what cannot be waited for.
const pollEvery = 10 * time.Millisecond

// eventually looks until it is as it should be.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("in vain: %s", what)
		}
	}
}

func stateConfig(accounts, state, server string) string {
	return fmt.Sprintf("accounts: %s\npolicy: {profile: reference}\nmemory: {state_file: %q}\nserver: {listen: ['127.0.0.1:0'], drain_timeout: 100ms%s}\n",
		accounts, state, server)
}

func (s *server) scheduler(t *testing.T) usherv1.SchedulerServiceClient {
	t.Helper()
	return usherv1.NewSchedulerServiceClient(s.dial(t))
}

// choose selects, and fails the test when there is nothing.
func choose(t *testing.T, client usherv1.SchedulerServiceClient, req *usherv1.SelectRequest) *usherv1.SelectResponse {
	t.Helper()
	resp, err := client.Select(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetSelection() == nil {
		t.Fatalf("nothing selected: %v", resp)
	}
	return resp
}

func reported(t *testing.T, client usherv1.SchedulerServiceClient, token string, outcome usherv1.Outcome) usherv1.ReportStatus {
	t.Helper()
	resp, err := client.Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: outcome}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetResults()[0].GetStatus()
}

// awaitWritten waits until all that has happened so far is in the file. A write that began before it may
// end after it, so the second one counts, and each needs a change to be made.
func awaitWritten(t *testing.T, client usherv1.SchedulerServiceClient, path string) {
	t.Helper()
	stamp := func() time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	for range 2 {
		before := stamp()
		change := choose(t, client, &usherv1.SelectRequest{Group: "change"})
		reported(t, client, change.GetSelection().GetLeaseToken(), usherv1.Outcome_OUTCOME_SUCCESS)
		eventually(t, "the state file is written", func() bool { return !stamp().Equal(before) })
	}
}

const stateAccounts = "[{id: a, max_concurrency: 2, groups: [g]}, {id: b, max_concurrency: 2, groups: [g]}, {id: c, groups: [change]}]"

func find(t *testing.T, s *server, id string) *usherv1.AccountSnapshot {
	t.Helper()
	resp, err := usherv1.NewMetricsServiceClient(s.dial(t)).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range resp.GetSnapshot().GetAccounts() {
		if a.GetAccountId() == id {
			return a
		}
	}
	t.Fatalf("there is no account %s", id)
	return nil
}

// socketPath has room for a socket, in a folder of its own.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "u") //nolint:usetesting // its path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "u.sock")
}

// TestStateFile: what was written stands after a kill, and what was counted before a stop counts once.
func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	conf := file(t, stateConfig(stateAccounts, path, ""))
	req := &usherv1.SelectRequest{Group: "g", SessionHash: "conversation"}

	s := serve(t, "--config", conf)
	client := s.scheduler(t)
	chosen := choose(t, client, req)
	id, token := chosen.GetSelection().GetAccountId(), chosen.GetSelection().GetLeaseToken()
	awaitWritten(t, client, path)
	s.signal(t, syscall.SIGKILL)
	s.exit(t)

	s = serve(t, "--config", conf)
	client = s.scheduler(t)
	if n := find(t, s, id).GetInUse(); n != 1 {
		t.Errorf("after the kill %d are in use, want 1", n)
	}
	again := choose(t, client, req)
	if got := again.GetSelection().GetAccountId(); got != id || !again.GetDecision().GetStickySessionHit() {
		t.Errorf("after the kill the conversation is on %s, want %s: %v", got, id, again.GetDecision())
	}
	if got := reported(t, client, token, usherv1.Outcome_OUTCOME_ACCOUNT_ERROR); got != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("the report of a lease from before the kill: %v", got)
	}
	before := find(t, s, id)
	if before.GetInUse() != 1 || before.GetErrorRate() == 0 {
		t.Errorf("after the report: %v", before)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}

	s = serve(t, "--config", conf)
	client = s.scheduler(t)
	if got := reported(t, client, token, usherv1.Outcome_OUTCOME_ACCOUNT_ERROR); got != usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED {
		t.Errorf("the same report after a stop: %v", got)
	}
	if after := find(t, s, id); after.GetInUse() != 1 || after.GetErrorRate() != before.GetErrorRate() {
		t.Errorf("in use %d, error rate %v, want 1, %v", after.GetInUse(), after.GetErrorRate(), before.GetErrorRate())
	}
	if got := reported(t, client, again.GetSelection().GetLeaseToken(), usherv1.Outcome_OUTCOME_SUCCESS); got != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("the other lease: %v", got)
	}
}

func TestStateFileIsOneUshers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	conf := file(t, stateConfig(stateAccounts, path, ""))
	serve(t, "--config", conf)
	if _, stderr, code := usher(t, "serve", "--config", conf); code != 1 || !strings.Contains(stderr, path) || !strings.Contains(stderr, "another usher runs on it") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	nowhere := file(t, stateConfig(stateAccounts, filepath.Join(t.TempDir(), "none", "state"), ""))
	if _, stderr, code := usher(t, "serve", "--config", nowhere); code != 1 || !strings.Contains(stderr, "memory.state_file") || !strings.Contains(stderr, "no such file") {
		t.Errorf("no folder: exit code %d, %s", code, stderr)
	}
}

func TestDamagedStateFileIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	const damage = "this is no state"
	if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--config", file(t, stateConfig(stateAccounts, path, "")))
	s.await(t, s.log, "it was set aside", 1)
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside are %v, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != damage {
		t.Errorf("set aside is %q, %v", kept, err)
	}
	if n := find(t, s, "a").GetInUse() + find(t, s, "b").GetInUse(); n != 0 {
		t.Errorf("%d in use", n)
	}
	choose(t, s.scheduler(t), &usherv1.SelectRequest{Group: "g"})
}

// TestDemoGoesOn: a demo on the same address keeps what the last one had.
func TestDemoGoesOn(t *testing.T) {
	args := []string{"--demo", "--no-demo-traffic", "--drain-timeout", "0s", "--listen", "unix://" + socketPath(t)}
	req := &usherv1.SelectRequest{Model: "gpt-5", SessionHash: "conversation"}
	s := serve(t, args...)
	s.await(t, s.out, filepath.Join(os.TempDir(), fmt.Sprintf("usher-demo-%d", os.Getuid())), 1)
	id := choose(t, s.scheduler(t), req).GetSelection().GetAccountId()
	s.signal(t, os.Interrupt)
	if code := s.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s = serve(t, args...)
	if n := find(t, s, id).GetInUse(); n != 1 {
		t.Errorf("%d are in use, want 1", n)
	}
	if got := choose(t, s.scheduler(t), req).GetSelection().GetAccountId(); got != id {
		t.Errorf("the conversation is on %s, want %s", got, id)
	}
}
