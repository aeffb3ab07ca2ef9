package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	usherv1 "usher.internal/gen/usher/v1"
)

func TestConfigCommands(t *testing.T) {
	example, _, code := usher(t, "config", "example")
	if code != 0 {
		t.Fatalf("example: exit code %d", code)
	}
	if want, err := os.ReadFile("../../docs/usher.example.yaml"); err != nil || string(want) != example {
		t.Errorf("the example is not the one in docs: %v", err)
	}
	path := file(t, example)
	if stdout, _, code := usher(t, "config", "check", path); code != 0 || !strings.Contains(stdout, "4 accounts, 2 groups") {
		t.Errorf("valid: exit code %d, %s", code, stdout)
	}
	broken := file(t, "accounts: []\npolicy:\n  weights:\n    load: .nan\n    queue: -1\n")
	_, stderr, code := usher(t, "config", "check", broken)
	if code != 1 {
		t.Errorf("broken: exit code %d", code)
	}
	for _, want := range []string{
		broken + ":4: policy.weights.load: must be a finite number",
		broken + ":5: policy.weights.queue: is -1; allowed: at least 0",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in %s", want, stderr)
		}
	}
	open := file(t, "accounts: []\nserver:\n  listen:\n    - 127.0.0.1:7411\n    - 0.0.0.0:7411\n")
	if _, stderr, code := usher(t, "config", "check", open); code != 1 || !strings.Contains(stderr, open+":5: server.listen[1]: ") ||
		!strings.Contains(stderr, "serve --insecure") || strings.Contains(stderr, ":4:") {
		t.Errorf("open to others: exit code %d, %s", code, stderr)
	}
	allowed := file(t, "accounts: []\nserver: {listen: ['0.0.0.0:7411', ':0'], insecure: true}\n")
	if _, stderr, code := usher(t, "config", "check", allowed); code != 0 {
		t.Errorf("open on purpose: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := usher(t, "config", "check", filepath.Join(t.TempDir(), "none.yaml")); code != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("missing: exit code %d, %s", code, stderr)
	}
}

func TestHelpTeaches(t *testing.T) {
	stdout, _, code := usher(t)
	if code != 0 || !strings.Contains(stdout, "serve") || !strings.Contains(stdout, "top") {
		t.Errorf("without arguments: exit code %d, %s", code, stdout)
	}
	for _, command := range []string{"serve", "config check", "config example", "select", "report", "renew", "explain", "top", "load", "version"} {
		stdout, stderr, code := usher(t, append(strings.Fields(command), "--help")...)
		if code != 0 || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "usher "+command) {
			t.Errorf("%s: exit code %d\n%s%s", command, code, stdout, stderr)
		}
	}
	if _, stderr, code := usher(t, "selct"); code != 2 || !strings.Contains(stderr, "selct") {
		t.Errorf("unknown command: exit code %d, %s", code, stderr)
	}
	if stdout, _, code := usher(t, "version", "-o", "json"); code != 0 || !strings.Contains(stdout, "v0.0.0-test") {
		t.Errorf("version: exit code %d, %s", code, stdout)
	}
}

// TestLifeOfARequest goes the way of a newcomer: select, see it, report, see the effect.
func TestLifeOfARequest(t *testing.T) {
	s := serve(t, "--config", file(t, "accounts: [{id: only, max_concurrency: 1, models: {gpt-5: up}}]"+freePort))
	at := []string{"--address", s.addresses[0]}
	do := func(want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := usher(t, append(args, at...)...)
		if code != want {
			t.Fatalf("usher %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, stdout, stderr)
		}
		return stdout
	}
	var selected struct {
		Selection struct {
			AccountID     string `json:"account_id"`
			UpstreamModel string `json:"upstream_model"`
			LeaseToken    string `json:"lease_token"`
		} `json:"selection"`
	}
	decode(t, do(0, "select", "--model", "gpt-5", "--session", "s1", "-o", "json"), &selected)
	if selected.Selection.AccountID != "only" || selected.Selection.UpstreamModel != "up" {
		t.Errorf("selected %+v", selected)
	}
	if got := account(t, s); got.GetInUse() != 1 {
		t.Errorf("in use %d, want 1", got.GetInUse())
	}
	if out := do(3, "select", "--model", "gpt-5"); !strings.Contains(out, "only") {
		t.Errorf("the wait plan: %s", out)
	}
	if out := do(4, "select", "--model", "nobody-has-this"); out == "" {
		t.Error("the refusal says nothing")
	}
	report := []string{"report", "--lease", selected.Selection.LeaseToken, "--first-token", "120ms", "--finished", "account_error"}
	do(0, report...)
	do(0, report...)
	got := account(t, s)
	if got.GetInUse() != 0 || got.GetErrorRate() != 1 || got.GetTtftMs() != 120 {
		t.Errorf("after the report: in use %d, error %v, first token %v ms", got.GetInUse(), got.GetErrorRate(), got.GetTtftMs())
	}
	if out := do(0, "select", "--session", "s1", "--dry-run", "--explain"); !strings.Contains(out, "session") {
		t.Errorf("the session is not kept: %s", out)
	}
	var top struct {
		Accounts []json.RawMessage `json:"accounts"`
	}
	decode(t, do(0, "top", "--once", "-o", "json"), &top)
	if len(top.Accounts) != 1 {
		t.Errorf("top shows %d accounts", len(top.Accounts))
	}
	do(0, "explain", "--list")
	if _, stderr, code := usher(t, "select", "--address", "127.0.0.1:1"); code != 1 || !strings.Contains(stderr, "no usher answers") {
		t.Errorf("nobody there: exit code %d, %s", code, stderr)
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func account(t *testing.T, s *server) *usherv1.AccountSnapshot {
	t.Helper()
	resp, err := usherv1.NewMetricsServiceClient(s.dial(t)).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetSnapshot().GetAccounts()[0]
}
