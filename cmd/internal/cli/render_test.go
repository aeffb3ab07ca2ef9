package cli

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "usher.internal/gen/usher/v1"
)

func TestRenderSelect(t *testing.T) {
	req := &usherv1.SelectRequest{SessionHash: "s"}
	chosen := selection("u1.k3JH")
	chosen.Decision.Verdicts = verdicts()
	for name, resp := range map[string]*usherv1.SelectResponse{
		"select.txt": chosen, "select_wait.txt": waitPlan(), "select_probing.txt": probing(), "select_refused.txt": refusal(),
	} {
		golden(t, name, renderSelect(req, resp, now, 100))
	}
}

// TestRenderLooseBindings: what a session or a response met whose account was of no use.
func TestRenderLooseBindings(t *testing.T) {
	req := &usherv1.SelectRequest{SessionHash: "s"}
	const (
		escaped = usherv1.BindingFate_BINDING_FATE_ESCAPED
		rebound = usherv1.BindingFate_BINDING_FATE_REBOUND
		quota   = usherv1.ExclusionReason_EXCLUSION_REASON_QUOTA_EXHAUSTED
		layer   = usherv1.Layer_LAYER_SESSION_HASH
	)
	bound := func(resp *usherv1.SelectResponse, fate usherv1.BindingFate, r usherv1.ExclusionReason, until *timestamppb.Timestamp) *usherv1.SelectResponse {
		resp.Decision.SessionBinding = &usherv1.StickyVerdict{Fate: fate, AccountId: "acct-02", Reason: r, Until: until}
		return resp
	}
	again := bound(selection("t"), escaped, quota, in(42*time.Second))
	again.Decision.Layer = layer
	waited := bound(selection("t"), rebound, quota, in(2*time.Hour))
	waited.GetSelection().TimeInLine = durationpb.New(1200 * time.Millisecond)
	waited.GetSelection().Line = &usherv1.LinePlace{JoinedAt: 4, WokenBy: usherv1.WakeReason_WAKE_REASON_COOLDOWN_END}
	waited.Decision.Verdicts = coldVerdicts()
	for name, resp := range map[string]*usherv1.SelectResponse{
		"select_spilled.txt": bound(selection("t"), escaped, 0, nil), "select_escaped.txt": again,
		"select_rebound.txt": waited, "select_owner.txt": ownerAway(), "select_timeout.txt": timedOut(),
	} {
		golden(t, name, renderSelect(req, resp, now, 100))
	}
	x := explained()
	x.Record.Decision, x.Record.TimeInLine, x.Record.Line = waited.Decision, waited.GetSelection().TimeInLine, waited.GetSelection().Line
	golden(t, "explain_line.txt", renderExplain(x, now, 100))
}

func TestRenderExplain(t *testing.T) {
	golden(t, "explain.txt", renderExplain(explained(), now, 100))
	golden(t, "explain_list.txt", renderDecisions(decisions(), now))
}

func TestWhyTellsEachBindingFate(t *testing.T) {
	for fate := range usherv1.BindingFate_name {
		d := &usherv1.Decision{
			Layer: usherv1.Layer_LAYER_LOAD_BALANCE, CandidateCount: 1, TopK: 1,
			SessionBinding: &usherv1.StickyVerdict{Fate: usherv1.BindingFate(fate), AccountId: "bound"},
		}
		told := strings.Contains(why(d, answer{}, now), "bound")
		switch usherv1.BindingFate(fate) {
		case usherv1.BindingFate_BINDING_FATE_UNSPECIFIED, usherv1.BindingFate_BINDING_FATE_HIT, usherv1.BindingFate_BINDING_FATE_FULL:
			if told {
				t.Errorf("%s is told apart from the layer", usherv1.BindingFate(fate))
			}
		default:
			if !told {
				t.Errorf("%s is not told", usherv1.BindingFate(fate))
			}
		}
	}
}

func TestRenderTop(t *testing.T) {
	view := topView{address: "127.0.0.1:7411", prev: firstSnapshot(), cur: laterSnapshot()}
	for _, width := range []int{60, 100, 160} {
		v := view
		v.width, v.height = width, 40
		got := renderTop(v)
		fits(t, got, width, 40)
		golden(t, fmt.Sprintf("top_%d.txt", width), got)
	}
	view.width, view.height, view.color = 100, 40, true
	golden(t, "top_color.txt", strings.ReplaceAll(renderTop(view), "\x1b", "␛"))
	view.status = "reconnecting: connection refused"
	golden(t, "top_lost.txt", strings.ReplaceAll(renderTop(view), "\x1b", "␛"))
}

func TestRenderTopFitsAnySize(t *testing.T) {
	many := manyAccounts(100)
	for _, height := range []int{1, 2, 3, 5, 8, 24, 200} {
		for width := 1; width < 220; width += 1 + width/16 {
			fits(t, renderTop(topView{address: "unix:///run/usher.sock", prev: firstSnapshot(), cur: many, width: width, height: height}), width, height)
		}
	}
	golden(t, "top_many.txt", renderTop(topView{address: "unix:///run/usher.sock", cur: many, width: 80, height: 16, sort: "busy"}))
}

func fits(t *testing.T, frame string, width, height int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
	if len(lines) > height {
		t.Errorf("%d×%d: %d lines", width, height, len(lines))
	}
	for _, l := range lines {
		if columns(l) > width {
			t.Errorf("%d×%d: a line of %d columns: %q", width, height, columns(l), l)
		}
	}
}

func TestTopKeepsRatesAcrossARestart(t *testing.T) {
	after := laterSnapshot()
	after.Totals.SelectTotal = 3
	if r := ratesBetween(firstSnapshot(), after); r.known {
		t.Errorf("rates across a restart: %+v", r)
	}
	if r := ratesBetween(nil, after); r.known {
		t.Errorf("rates from one snapshot: %+v", r)
	}
	r := ratesBetween(firstSnapshot(), laterSnapshot())
	if r.selects != 412 || r.selected != 400 || r.planned != 12 || r.returned != 392 || r.switches != 1 {
		t.Errorf("rates: %+v", r)
	}
}

func TestBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 812: "812ns", 38_000: "38µs", 1_530_000: "1.53ms", 412 * time.Millisecond: "412ms",
		999_700 * time.Microsecond: "1s", 1200 * time.Millisecond: "1.2s", 42 * time.Second: "42s",
		192 * time.Second: "3m12s", 15 * time.Minute: "15m", 3*time.Hour + 12*time.Minute: "3h12m",
		24 * time.Hour: "24h", 100 * time.Hour: "4d4h", 1132*24*time.Hour + time.Hour: "1132d", -time.Second: "-1s",
	} {
		if got := brief(d); got != want {
			t.Errorf("brief(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestFixedNeverWidensAColumn(t *testing.T) {
	for v, want := range map[float64]string{
		0.5: "0.5000", -1.25: "−1.2500", 1e6: "1000000.0000", 12345678.9: "1.23457e+07", math.MaxFloat64: "1.79769e+308",
	} {
		if got := fixed(v, 4); got != want {
			t.Errorf("fixed(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestWordsCoverEveryValue(t *testing.T) {
	if got := word(usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED); got != "rate limited" {
		t.Errorf("got %q", got)
	}
	if got := word(usherv1.ExclusionReason(99)); got != "unknown (99)" {
		t.Errorf("got %q", got)
	}
	for _, e := range flagValues(usherv1.Outcome(0).Descriptor()) {
		if n, err := valueOf(usherv1.Outcome(0).Descriptor(), e); err != nil || n == 0 {
			t.Errorf("%s: %d, %v", e, n, err)
		}
	}
}
