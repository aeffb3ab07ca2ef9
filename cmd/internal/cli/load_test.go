package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

func load(t *testing.T, f *fake, network string, args ...string) loadResult {
	t.Helper()
	args = append([]string{"load", "--address", f.serve(t, network), "-o", "json", "--callers", "4", "--duration", "60ms"}, args...)
	r := run(t, args...)
	if r.code != 0 {
		t.Fatalf("%v: %+v", args, r)
	}
	var got loadResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.live); n > 0 {
		t.Errorf("%v: %d leases were not given back", args, n)
	}
	return got
}

func TestLoadBesideAnEcho(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, reports := range []string{"unary", "stream"} {
			for _, rate := range []string{"0", "500"} {
				t.Run(network+" "+reports+" at "+rate, func(t *testing.T) {
					got := load(t, &fake{}, network, "--echo", "--reports", reports, "--rate", rate, "--connections", "2", "--sessions", "3")
					if len(got.Usher.EachPairsPerSecond) != 5 || len(got.Ratio.EachThroughput) != 5 {
						t.Errorf("rounds: %+v", got)
					}
					if got.Usher.Pairs == 0 || got.Echo.Pairs == 0 || got.Ratio.Throughput <= 0 || got.Ratio.P99 <= 0 {
						t.Errorf("nothing was measured: %+v", got)
					}
					if len(got.Usher.Errors)+len(got.Echo.Errors) > 0 || got.Usher.Unapplied > 0 {
						t.Errorf("errors: %+v", got)
					}
					if (got.Echo.Report == nil) != (reports == "stream") {
						t.Errorf("an echo pair beside reports over %s: %+v", reports, got.Echo)
					}
				})
			}
		}
	}
}

func TestLoadSharesOutSessions(t *testing.T) {
	f := &fake{}
	load(t, f, "tcp", "--sessions", "3", "--sticky-share", "0.5", "--rounds", "1", "--callers", "64")
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) != 4 || f.sessions[""] == 0 {
		t.Errorf("sessions: %v", f.sessions)
	}
}

func TestLoadCountsWhatIsNoPair(t *testing.T) {
	for _, answer := range []*usherv1.SelectResponse{waitPlan(), refusal()} {
		f := &fake{onSelect: func(*usherv1.SelectRequest) (*usherv1.SelectResponse, error) { return answer, nil }}
		got := load(t, f, "tcp", "--rounds", "1")
		if got.Usher.Pairs != 0 || got.Usher.Plans+got.Usher.Refusals == 0 || (got.Usher.Plans > 0) != (answer.GetWaitPlan() != nil) {
			t.Errorf("%+v", got.Usher)
		}
		r := run(t, "load", "--echo", "--address", f.serve(t, "tcp"))
		if r.code != 1 || !strings.Contains(r.err, "nothing to compare") {
			t.Errorf("%+v", r)
		}
	}
}

func TestEchoChildThatDoesNotComeUp(t *testing.T) {
	std := fakeIO(nil, nil, nil)
	std.Self = []string{"/bin/false"}
	if _, err := startEcho(t.Context(), std, "127.0.0.1:1", &usherv1.SelectResponse{}); err == nil {
		t.Error("no error")
	}
	std.Self = []string{"/no/such/program"}
	if _, err := startEcho(t.Context(), std, "unix:///x", &usherv1.SelectResponse{}); err == nil {
		t.Error("no error")
	}
}

func TestRenderLoad(t *testing.T) {
	quantile := func(base float64) *loadQuantile {
		return &loadQuantile{P50: base, P99: base * 3.2, P999: base * 7, Max: base * 20}
	}
	r := &loadResult{
		Address: "127.0.0.1:7411", Callers: 64, Connections: 1, Reports: "unary", Sessions: 1000, RoundSeconds: 2,
		Bytes: messageSizes{SelectRequest: 31, SelectResponse: 262, ReportRequest: 151, ReportResponse: 13},
		Usher: loadSide{
			PairsPerSecond: 15912, EachPairsPerSecond: []float64{15912, 15100, 16020, 15950, 15800},
			Select: quantile(2010), Report: quantile(1900), Pair: quantile(3920), Pairs: 158_000,
		},
		Echo: &loadSide{
			PairsPerSecond: 19010, EachPairsPerSecond: []float64{19010, 18700, 19200, 18990, 19050},
			Select: quantile(1600), Report: quantile(1600), Pair: quantile(3300), Pairs: 190_000, Unsent: 2,
			Errors: map[string]uint64{"select Unavailable": 3},
		},
		Ratio: &loadRatio{Throughput: 0.837, P99: 1.19, EachThroughput: []float64{0.837, 0.807, 0.834, 0.84, 0.829}, EachP99: []float64{1.19, 1.2, 1.18, 1.17, 1.21}},
	}
	golden(t, "load.txt", renderLoad(r, 100))
	r.Reports, r.Echo.Report = "stream", nil
	golden(t, "load_stream.txt", renderLoad(r, 100))
	r.Rate, r.Arrivals, r.Callers = 4000, "poisson", 1024
	golden(t, "load_open.txt", renderLoad(r, 100))
}

func TestOnlyThisMachine(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:7411": true, "127.9.9.9:1": true, "[::1]:7411": true, "localhost:7411": true, "unix:///run/u.sock": true, "unix:rel": true,
		"10.0.0.1:7411": false, "0.0.0.0:7411": false, "[::]:7411": false, "example.com:1": false, "dns:///localhost:1": false,
		"passthrough:///127.0.0.1:1": false, "localhost.example.com:1": false, "": false,
	} {
		if got := onThisMachine(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 2, 3}} {
		if got := median(values); got != want {
			t.Error(fmt.Sprint(values, got))
		}
	}
}

func TestLoadStandsInLine(t *testing.T) {
	answer := refusal()
	f := &fake{onSelect: func(r *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
		if r.GetWait().AsDuration() != 2*time.Second {
			return nil, errors.New("no wait")
		}
		return answer, nil
	}}
	got := load(t, f, "tcp", "--rounds", "1", "--wait", "2s")
	if got.Usher.Refusals == 0 || len(got.Usher.Errors) > 0 || got.WaitSeconds != 2 {
		t.Errorf("%+v", got)
	}
}
