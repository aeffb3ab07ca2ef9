package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "usher.internal/gen/usher/v1"
)

func TestEveryHelpTeaches(t *testing.T) {
	parser, err := kong.New(&line{}, Options()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parser.Model.Children {
		if c.Hidden {
			continue
		}
		r := run(t, c.Name, "--help")
		if c.Help == "" || !strings.Contains(r.out, "Example") || !strings.Contains(r.out, "usher "+c.Name) {
			t.Errorf("usher %s --help has no example:\n%s", c.Name, r.out)
		}
		for _, f := range c.Flags {
			if f.Help == "" {
				t.Errorf("%s --%s has no help", c.Name, f.Name)
			}
		}
	}
}

func TestSelectSendsEveryFlag(t *testing.T) {
	var got *usherv1.SelectRequest
	f := &fake{onSelect: func(r *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
		got = r
		return selection("u1.k3JH"), nil
	}}
	r := run(t, "select", "--address", f.serve(t, "unix"), "--group", "chat", "--session", "s1", "--previous-response", "resp_1",
		"--model", "gpt-5", "--transport", "responses_websockets_v2", "--provider", "openai", "--exclude", "a,b", "--exclude", "c",
		"--owner", "gw", "--incarnation", "7", "--tenant", "acme", "--lease-ttl", "90s", "--request-id", "r1", "--dry-run", "--explain", "--alternates", "2")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.err)
	}
	want := &usherv1.SelectRequest{
		Group: "chat", SessionHash: "s1", PreviousResponseId: "resp_1", Model: "gpt-5",
		RequiredTransport: usherv1.Transport_TRANSPORT_RESPONSES_WEBSOCKETS_V2, Provider: "openai",
		ExcludedAccountIds: []string{"a", "b", "c"}, Owner: &usherv1.Owner{Name: "gw", Incarnation: "7"}, Tenant: "acme",
		LeaseTtl: durationpb.New(90 * time.Second), RequestId: "r1", DryRun: true, Explain: true, Alternates: 2,
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestSelectExitCodes(t *testing.T) {
	answer := selection("u1.k3JH")
	var fails error
	f := &fake{onSelect: func(*usherv1.SelectRequest) (*usherv1.SelectResponse, error) { return answer, fails }}
	address := f.serve(t, "tcp")
	for _, c := range []struct {
		answer *usherv1.SelectResponse
		says   string
		code   int
	}{
		{selection("u1.k3JH"), "u1.k3JH", 0},
		{waitPlan(), "wait       for acct-03", 3},
		{refusal(), "none eligible", 4},
	} {
		answer = c.answer
		r := run(t, "select", "--address", address)
		if r.code != c.code || !strings.Contains(r.out, c.says) || r.err != "" {
			t.Errorf("code %d, want %d, and %q in:\n%s%s", r.code, c.code, c.says, r.out, r.err)
		}
	}
	s, err := status.New(codes.InvalidArgument, "the request is not valid").WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "lease_ttl", Description: "at least 1s"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	fails = s.Err()
	r := run(t, "select", "--address", address)
	if r.code != 1 || r.out != "" || !strings.Contains(r.err, "lease_ttl: at least 1s") {
		t.Errorf("a bad request: %+v", r)
	}
}

func TestNoUsher(t *testing.T) {
	r := run(t, "select", "--address", "unix://"+t.TempDir()+"/none")
	if r.code != 1 || !strings.Contains(r.err, "no usher answers at") || !strings.Contains(r.err, "usher serve --demo") {
		t.Errorf("%+v", r)
	}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"select", "--no-such-flag"},
		{"select", "--transport", "carrier_pigeon"},
		{"select", "--timeout", "0s"},
		{"select", "--address", ""},
		{"select", "-o", "yaml"},
		{"report", "--lease", "t"},
		{"report", "--finished", "success"},
		{"report", "--lease", "t", "--finished", "fine"},
		{"report", "--request-id", "r", "--finished", "success"},
		{"report", "--lease", "t", "--finished", "success", "--unused"},
		{"report", "--lease", "t", "--upstream-status", "429", "--unused"},
		{"report", "--lease", "t", "--retry-after", "60s"},
		{"report", "--lease", "t", "--reset-at", "tomorrow", "--finished", "rate_limited"},
		{"report", "--lease", "t", "--scope", "world", "--finished", "rate_limited"},
		{"report", "--request-id", "r", "--upstream-status", "429"},
		{"renew"},
		{"explain"},
		{"explain", "d-1", "--list"},
		{"explain", "--list", "--layer", "cake"},
		{"explain", "--list", "--limit", "0"},
		{"explain", "--list", "--limit", "1001"},
		{"load", "--address", "192.0.2.1:7411"},
		{"load", "--address", "usher.example:7411"},
		{"load", "--echo", "--allow-remote", "--address", "192.0.2.1:7411"},
		{"load", "--duration", "2h"},
		{"load", "--rate", "NaN"},
		{"load", "--rate", "-1"},
		{"load", "--echo", "--rounds", "4"},
		{"load", "--callers", "-2"},
		{"load", "--callers", "0"},
		{"load", "--callers", "100001"},
		{"load", "--sticky-share", "1.5"},
		{"load", "--connections", "0"},
		{"load", "--wait", "5s", "--timeout", "5s"},
		{"load", "--wait", "-1s"},
	} {
		if r := run(t, args...); r.code != exitUsage || r.err == "" || r.out != "" {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// failure is a call's error as an usher words it.
func failure(t *testing.T, code codes.Code, text string, details ...protoadapt.MessageV1) error {
	t.Helper()
	s, err := status.New(code, text).WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

func TestFailuresAreToldOnce(t *testing.T) {
	info := func(reason string) *errdetails.ErrorInfo {
		return &errdetails.ErrorInfo{Reason: reason, Domain: "usher"}
	}
	violation := func(field, text string) *errdetails.BadRequest_FieldViolation {
		return &errdetails.BadRequest_FieldViolation{Field: field, Description: text}
	}
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		violation("lease_ttl", "must be from 1s to 24h0m0s"), violation("model", "has more than 128 bytes"),
	}}
	c := Client{Address: "here", Timeout: 24 * time.Hour}
	for _, row := range []struct {
		err  error
		want string
	}{
		{
			failure(t, codes.Unavailable, "the server is draining", info("DRAINING"), retry),
			"the usher at here is stopping: the server is draining\n  reason: DRAINING\n  try again in 1s",
		},
		{failure(t, codes.Unavailable, "closed", info("CLOSED")), "the usher at here is stopping: closed\n  reason: CLOSED"},
		{
			failure(t, codes.Unavailable, "the store cannot be reached", info("STORE_UNAVAILABLE"), retry),
			"the usher at here has lost its store: the store cannot be reached\n  reason: STORE_UNAVAILABLE\n  try again in 1s",
		},
		{
			failure(t, codes.InvalidArgument, "lease_ttl: must be from 1s to 24h0m0s (and 1 more)", bad, info("INVALID_ARGUMENT")),
			"InvalidArgument: lease_ttl: must be from 1s to 24h (and 1 more)\n  model: has more than 128 bytes",
		},
		{failure(t, codes.DeadlineExceeded, "late"), "no answer from here within 24h"},
		{failure(t, codes.NotFound, "nothing", info("DECISION_UNKNOWN")), "NotFound: nothing\n  reason: DECISION_UNKNOWN"},
	} {
		if got := c.worded(row.err).Error(); got != row.want {
			t.Errorf("got\n%s\nwant\n%s", got, row.want)
		}
	}
}

func TestUnknownCommandsAreGuessedWhenNear(t *testing.T) {
	for typed, guess := range map[string]string{"selct": "select", "tpo": "top", "expl": "explain", "cp": "", "x": "", "lod": "load"} {
		r := run(t, typed)
		guessed := strings.Contains(r.err, "did you mean")
		if r.code != exitUsage || guessed != (guess != "") || guess != "" && !strings.Contains(r.err, `"`+guess+`"`) {
			t.Errorf("%s: %+v", typed, r)
		}
	}
}

func TestReport(t *testing.T) {
	var got *usherv1.ReportRequest
	answer := usherv1.ReportStatus_REPORT_STATUS_APPLIED
	f := &fake{onReport: func(r *usherv1.ReportRequest) (*usherv1.ReportResponse, error) {
		got = r
		resp := &usherv1.ReportResponse{}
		for range r.GetEvents() {
			resp.Results = append(resp.Results, &usherv1.ReportResult{Status: answer, AccountId: "acct-07", ResponseBound: true})
		}
		return resp, nil
	}}
	address := f.serve(t, "tcp")
	r := run(t, "report", "--address", address, "--lease", "tok", "--first-token", "420ms", "--response-id", "resp_1", "--switched", "--finished", "account_error")
	lease := &usherv1.ReportEvent_LeaseToken{LeaseToken: "tok"}
	want := &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{
		{Subject: lease, Event: &usherv1.ReportEvent_FirstToken{FirstToken: &usherv1.FirstToken{TimeToFirstToken: durationpb.New(420 * time.Millisecond), ResponseId: "resp_1"}}},
		{Subject: lease, Event: &usherv1.ReportEvent_Switched{Switched: &usherv1.Switched{}}},
		{Subject: lease, Event: &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_ACCOUNT_ERROR, ResponseId: "resp_1"}}},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || r.code != 0 {
		t.Errorf("%+v\n%s", r, diff)
	}
	golden(t, "report.txt", r.out)
	answer = usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID
	r = run(t, "report", "--address", address, "--request-id", "r1", "--tenant", "acme", "--owner", "gw", "--unused")
	ref := &usherv1.RequestRef{Tenant: "acme", OwnerName: "gw", RequestId: "r1"}
	if diff := cmp.Diff(ref, got.GetEvents()[0].GetRequest(), protocmp.Transform()); diff != "" || r.code != 1 || r.err != "" {
		t.Errorf("%+v\n%s", r, diff)
	}
}

func TestReportSendsWhatTheUpstreamSaid(t *testing.T) {
	var got *usherv1.ReportRequest
	f := &fake{onReport: func(r *usherv1.ReportRequest) (*usherv1.ReportResponse, error) {
		got = r
		return &usherv1.ReportResponse{Results: []*usherv1.ReportResult{{Status: usherv1.ReportStatus_REPORT_STATUS_APPLIED}}}, nil
	}}
	r := run(t, "report", "--address", f.serve(t, "tcp"), "--lease", "tok", "--response-id", "resp_1", "--upstream-status", "429", "--upstream-code", "slow_down",
		"--retry-after", "60s", "--reset-at", "2030-01-31T18:00:00Z", "--scope", "model")
	want := &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: "tok"},
		Event: &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{
			ResponseId: "resp_1", UpstreamStatus: ptr[int32](429), UpstreamCode: "slow_down", RetryAfter: durationpb.New(time.Minute),
			ResetAt: timestamppb.New(time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)), LimitScope: usherv1.LimitScope_LIMIT_SCOPE_MODEL,
		}},
	}}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || r.code != 0 {
		t.Errorf("%+v\n%s", r, diff)
	}
}

func TestOutcomes(t *testing.T) {
	golden(t, "outcomes.txt", run(t, "outcomes").out)
	path := filepath.Join(t.TempDir(), "usher.yaml")
	file := "accounts: []\npolicy: {profile: reference, cooldown: {max: 1h, overloaded: {base: 5s}}}\n" +
		"outcomes:\n- {provider: Vertex, status: 429, outcome: quota_exhausted}\n- {status: 4, code: Odd, outcome: cancelled}\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	golden(t, "outcomes_config.txt", run(t, "outcomes", "--config", path, "--provider", "gemini").out)
	r := run(t, "outcomes", "--config", path, "-o", "json")
	var rows []meaning
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil {
		t.Fatal(err)
	}
	var own []meaning
	for _, m := range rows {
		if m.From == "file" {
			own = append(own, m)
		}
	}
	want := []meaning{
		{Provider: "google", Status: "429", Outcome: "quota_exhausted", Scope: "account", ErrorSample: ptr(1), Cooldown: map[string]string{"cooldown": "as told, or 5s to 1m"}, From: "file"},
		{Status: "4xx", Code: "odd", Outcome: "cancelled", Cooldown: map[string]string{"cooldown": "none"}, From: "file"},
	}
	if diff := cmp.Diff(want, own); diff != "" {
		t.Error(diff)
	}
	if r := run(t, "outcomes", "--config", path+"x"); r.code != 1 || r.out != "" {
		t.Errorf("no file: %+v", r)
	}
}

func TestRenew(t *testing.T) {
	f := &fake{onRenew: func(*usherv1.RenewRequest) (*usherv1.RenewResponse, error) {
		return &usherv1.RenewResponse{Results: []*usherv1.RenewResult{
			{Status: usherv1.ReportStatus_REPORT_STATUS_APPLIED, ExpiresAt: in(10 * time.Minute)},
			{Status: usherv1.ReportStatus_REPORT_STATUS_LEASE_EXPIRED},
		}}, nil
	}}
	r := run(t, "renew", "--address", f.serve(t, "tcp"), "one", "a-very-long-token-that-nobody-reads", "--lease-ttl", "10m")
	golden(t, "renew.txt", r.out)
	if r.code != 1 {
		t.Errorf("%+v", r)
	}
}

func TestExplain(t *testing.T) {
	f := &fake{
		onExplain: func(r *usherv1.ExplainRequest) (*usherv1.ExplainResponse, error) {
			if r.GetDecisionId() != "d-4f1d" {
				return nil, status.Error(codes.NotFound, "no such decision")
			}
			return explained(), nil
		},
		onList: func(r *usherv1.ListDecisionsRequest) (*usherv1.ListDecisionsResponse, error) {
			want := &usherv1.ListDecisionsRequest{
				Group: "chat", AccountId: "acct-07", Layer: usherv1.Layer_LAYER_SESSION_HASH,
				Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN, Limit: 3,
			}
			if diff := cmp.Diff(want, r, protocmp.Transform()); diff != "" {
				return nil, errors.New(diff)
			}
			return decisions(), nil
		},
	}
	address := f.serve(t, "tcp")
	if r := run(t, "explain", "--address", address, "d-4f1d"); r.code != 0 || !strings.Contains(r.out, "◀ chosen") {
		t.Errorf("%+v", r)
	}
	if r := run(t, "explain", "--address", address, "d-0"); r.code != 1 || !strings.Contains(r.err, "NotFound: no such decision") {
		t.Errorf("%+v", r)
	}
	r := run(t, "explain", "--address", address, "--list", "--group", "chat", "--account", "acct-07", "--layer", "session_hash", "--outcome", "wait_plan", "--limit", "3", "-o", "json")
	if n := strings.Count(r.out, "\n"); r.code != 0 || n != 3 {
		t.Errorf("%d lines: %+v", n, r)
	}
	for l := range strings.Lines(r.out) {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
}

func TestSelectJSONIsOneObject(t *testing.T) {
	f := &fake{}
	r := run(t, "select", "--address", f.serve(t, "tcp"), "-o", "json")
	var got struct {
		Selection struct {
			LeaseToken string `json:"lease_token"`
		} `json:"selection"`
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.Selection.LeaseToken != "lease-000001" {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	std := fakeIO(&out, &out, nil)
	std.Version = "v1.2.3"
	if code := runLine(t.Context(), std, []string{"version", "-o", "json"}); code != 0 || !strings.Contains(out.String(), `"version": "v1.2.3"`) {
		t.Errorf("code %d: %s", code, out.String())
	}
}
