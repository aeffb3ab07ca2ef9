package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

func accounts(t *testing.T, a *App) string {
	t.Helper()
	var ids []string
	for _, account := range snapshot(t, dial(t, a.Addresses()[0])).GetAccounts() {
		ids = append(ids, account.GetAccountId())
	}
	return strings.Join(ids, " ")
}

const served = "\nserver: {listen: ['127.0.0.1:0'], drain_timeout: 200ms}\n"

func TestReloadOnChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.yaml")
	write(t, path, "accounts: [{id: a}]"+served)
	book := newLogBook()
	a := started(t, Options{File: path, Log: book})

	write(t, path, "accounts: [{id: b}]"+served)
	book.await(t, `"reloaded"`, 1)
	if got := accounts(t, a); got != "b" {
		t.Errorf("written in place: %s", got)
	}
	replace(t, path, "accounts: [{id: c}]"+served)
	book.await(t, `"reloaded"`, 2)
	if got := accounts(t, a); got != "c" {
		t.Errorf("replaced: %s", got)
	}
	replace(t, path, "accounts: [{id: d, priority: high}]"+served)
	book.await(t, "reload failed", 1)
	if text, _ := book.state(); !strings.Contains(text, path+":1: accounts[0].priority: must be a whole number") {
		t.Errorf("the log does not say why:\n%s", text)
	}
	if got := accounts(t, a); got != "c" {
		t.Errorf("broken: %s", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	book.await(t, "there is no such file", 1)
	write(t, path, "accounts: [{id: e}]"+served)
	book.await(t, `"reloaded"`, 3)
	if got := accounts(t, a); got != "e" {
		t.Errorf("back again: %s", got)
	}
}

// TestReloadOnLinkSwap plays Kubernetes: the file is a link into a link that is replaced.
func TestReloadOnLinkSwap(t *testing.T) {
	dir := t.TempDir()
	mount := func(version, id string) {
		folder := filepath.Join(dir, ".."+version)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, "usher.yaml"), "accounts: [{id: "+id+"}]"+served)
		if err := os.Symlink(".."+version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("1", "a")
	path := filepath.Join(dir, "usher.yaml")
	if err := os.Symlink(filepath.Join("..data", "usher.yaml"), path); err != nil {
		t.Fatal(err)
	}
	book := newLogBook()
	a := started(t, Options{File: path, Log: book})
	for n, id := range []string{"b", "c"} {
		mount(id, id)
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		book.await(t, `"reloaded"`, n+1)
		if got := accounts(t, a); got != id {
			t.Errorf("got %s, want %s", got, id)
		}
	}
}

// TestReloadOfTarget: a link that leads out of its folder, to a file that is written in place.
func TestReloadOfTarget(t *testing.T) {
	target := filepath.Join(t.TempDir(), "real.yaml")
	write(t, target, "accounts: [{id: a}]"+served)
	path := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	book := newLogBook()
	a := started(t, Options{File: path, Log: book})
	write(t, target, "accounts: [{id: b}]"+served)
	book.await(t, `"reloaded"`, 1)
	if got := accounts(t, a); got != "b" {
		t.Errorf("got %s", got)
	}
}

func TestReloadKeepsWhatIsInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.yaml")
	write(t, path, "accounts: [{id: a, max_concurrency: 2}]"+served)
	a := started(t, Options{File: path})
	conn := dial(t, a.Addresses()[0])
	take(t, conn)
	take(t, conn)
	write(t, path, "accounts: [{id: a, max_concurrency: 1}]"+served)
	if err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	account := snapshot(t, conn).GetAccounts()[0]
	if account.GetInUse() != 2 || account.GetMaxConcurrency() != 1 {
		t.Errorf("in use %d of %d", account.GetInUse(), account.GetMaxConcurrency())
	}
}

func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.yaml")
	write(t, path, "accounts: []"+served)
	book := newLogBook()
	a := started(t, Options{File: path, Log: book})
	write(t, path, "accounts: []\nserver: {listen: ['127.0.0.1:0', '127.0.0.2:0'], drain_timeout: 200ms, lease_ttl: 1m, log: {level: error}, limits: {metrics_streams: 3}}")
	_ = a.Reload(t.Context())
	if text, _ := book.state(); strings.Contains(text, "restart") {
		t.Errorf("a level of error did not take effect:\n%s", text)
	}
	write(t, path, "accounts: []\nserver: {listen: ['127.0.0.1:0', '127.0.0.2:0'], drain_timeout: 200ms, lease_ttl: 1m, limits: {metrics_streams: 3}}")
	if err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	book.await(t, `"fields":["server.listen","server.lease_ttl","server.limits.metrics_streams"]`, 1)
}

func TestReloadWithoutAFile(t *testing.T) {
	a := started(t, Options{Config: parsed(t, oneAccount)})
	if err := a.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReloadOfPolicyAndOutcomes: a 429 that counts as the client's fault, and a profile, both while it runs.
func TestReloadOfPolicyAndOutcomes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.yaml")
	write(t, path, "accounts: [{id: a}]\noutcomes: [{status: 429, outcome: client_error}]"+served)
	a := started(t, Options{File: path})
	conn := dial(t, a.Addresses()[0])
	refuse := func() {
		t.Helper()
		end := &usherv1.Finished{UpstreamStatus: proto.Int32(429), RetryAfter: durationpb.New(time.Hour)}
		_, err := usherv1.NewSchedulerServiceClient(conn).Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
			Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: take(t, conn)}, Event: &usherv1.ReportEvent_Finished{Finished: end},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	refuse()
	state := snapshot(t, conn)
	if got := state.GetAccounts()[0]; got.GetErrorRate() != 0 || got.GetBlockedReason() != 0 || state.GetProfile() != "recommended" {
		t.Errorf("under the override: %v, profile %s", got, state.GetProfile())
	}
	write(t, path, "accounts: [{id: a}]\npolicy: {profile: reference}"+served)
	if err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	refuse()
	state = snapshot(t, conn)
	if got := state.GetAccounts()[0]; got.GetErrorRate() != 0.2 || got.GetBlockedReason() != usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED ||
		state.GetProfile() != "reference" {
		t.Errorf("without it: %v, profile %s", got, state.GetProfile())
	}
}
