package conformance

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher.internal/core/pool"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	data := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		data = zipped.Bytes()
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEach(t *testing.T) {
	// U+2028 and a carriage return do not end a line; the last line may lack its end.
	const text = "{\"index\":0,\"tags\":[\"a\u2028b\"]}\r\n{\"index\":2}\n\n{\"index\":4}"
	for _, name := range []string{"x.jsonl", "x.jsonl.gz"} {
		var got []Meta
		n, err := Each(write(t, name, text), "x", func(m *Meta) error { got = append(got, *m); return nil })
		if err != nil || n != 3 || got[2].Index != 4 || !got[0].Has("a\u2028b") {
			t.Errorf("%s: %d records, %v, %v", name, n, err, got)
		}
	}
	if _, err := Each(t.TempDir(), "x", func(*Meta) error { return nil }); err == nil {
		t.Error("a missing file is an error")
	}
	_, err := Each(write(t, "x.jsonl", "{}\n{"), "x", func(*Meta) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a broken line: %v", err)
	}
}

func TestReport(t *testing.T) {
	dir := write(t, "x.jsonl", "{\"index\":0}\n{\"index\":2}\n{\"index\":4}\n{\"index\":6}\n")
	outcomes := []Outcome{{}, {Skip: "b"}, {Skip: "a"}, {}}
	i := -1
	next := func(*Meta) Outcome { i++; return outcomes[i] }
	r, err := Run(dir, "x", next)
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	if want := "conformance x.jsonl: 2/4 matched, 2 skipped (a=1 b=1)"; r.String() != want {
		t.Errorf("%q, want %q", r, want)
	}
	outcomes[3], i = Outcome{Differences: []string{"one", "two"}}, -1
	r, err = Run(dir, "x", next)
	if err != nil || r.Matched != 1 || r.Err() == nil || !strings.Contains(r.Err().Error(), "record 6: one\nrecord 6: two") {
		t.Errorf("%v %v", err, r.Err())
	}
	r.Differences, r.Matched = nil, 1
	if r.Err() == nil {
		t.Error("a record is unaccounted for")
	}
	if (&Report{}).Err() == nil {
		t.Error("an empty file shows nothing")
	}
}

// TestRecorded reads all worlds and compares each expectation with itself.
func TestRecorded(t *testing.T) {
	start := time.Unix(1, 0)
	world := func(w *World) {
		if _, err := pool.NewSet(w.Pool(start)); err != nil {
			t.Fatal(err)
		}
		p := w.Policy()
		if errs := p.Validate(); errs != nil {
			t.Fatal(errs)
		}
	}
	selects, err := Run("testdata", "select", func(c *SelectCase) Outcome {
		world(&c.World)
		e := &c.Expected
		return Outcome{Differences: append(DiffResult(&e.Result, &e.Result), DiffState(&e.After, &e.After)...)}
	})
	if err != nil || selects.Err() != nil {
		t.Error(err, selects.Err())
	}
	sequences, err := Run("testdata", "sequence", func(c *SequenceCase) Outcome {
		world(&c.World)
		for i := range c.Ops {
			if op := &c.Ops[i]; op.Op == OpSelect && (op.Request == nil || op.Expected == nil) || !known(op.Op) {
				return Outcome{Differences: []string{"odd operation " + op.Op}}
			}
		}
		f := &c.Final
		return Outcome{Differences: append(DiffMetrics(&f.Metrics, &f.Metrics), DiffStats(f.Stats, f.Stats)...)}
	})
	if err != nil || sequences.Err() != nil {
		t.Error(err, sequences.Err())
	}
}

func known(op string) bool {
	switch op {
	case OpSelect, OpRelease, OpReport, OpReportSwitch, OpBindResponse, OpSetSchedulable, OpSetWaiting, OpAdvance:
		return true
	}
	return false
}

func TestDiffsNotice(t *testing.T) {
	id, other := "1", "2"
	result := func() *Result {
		return &Result{AccountID: &id, SelectionOrder: []string{"1", "2"}, WaitPlan: &WaitPlan{AccountID: "1"}}
	}
	for name, change := range map[string]func(*Result){
		"account_id":          func(r *Result) { r.AccountID = &other },
		"error":               func(r *Result) { r.Error = &other },
		"acquired":            func(r *Result) { r.Acquired = true },
		"wait_plan":           func(r *Result) { r.WaitPlan.MaxWaiting++ },
		"load_skew":           func(r *Result) { r.Decision.LoadSkew = Exact(0) },
		"layer":               func(r *Result) { r.Decision.Layer = "x" },
		"sticky_previous_hit": func(r *Result) { r.Decision.StickyPreviousHit = true },
		"sticky_session_hit":  func(r *Result) { r.Decision.StickySessionHit = true },
		"candidate_count":     func(r *Result) { r.Decision.CandidateCount++ },
		"top_k":               func(r *Result) { r.Decision.TopK++ },
		"selection_order":     func(r *Result) { r.SelectionOrder[0], r.SelectionOrder[1] = "2", "1" },
	} {
		got := result()
		change(got)
		if d := DiffResult(result(), got); len(d) != 1 || !strings.HasPrefix(d[0], name+":") {
			t.Errorf("%s: %v", name, d)
		}
	}
	none := result()
	none.WaitPlan = nil
	if d := DiffResult(result(), none); len(d) != 1 {
		t.Errorf("a missing plan: %v", d)
	}
	a := &State{InUse: map[string]int32{"1": 1}, SessionBindings: []Binding{{SessionHash: "s", AccountID: "1", TTLMS: 5}}}
	b := &State{InUse: map[string]int32{"1": 2}, SessionBindings: []Binding{{SessionHash: "s", AccountID: "1", TTLMS: 4}}}
	if d := DiffState(a, b); len(d) != 2 {
		t.Errorf("%v", d)
	}
	b.SessionBindings[0].GroupID = &id
	if d := DiffState(a, b); len(d) != 3 {
		t.Errorf("%v", d)
	}
	if d := DiffMetrics(&Metrics{SelectTotal: 1}, &Metrics{LoadSkewAvg: Exact(0)}); len(d) != 2 {
		t.Errorf("%v", d)
	}
	stats := []StatEntry{{AccountID: "1", ErrorRate: Exact(0)}}
	if d := DiffStats(stats, nil); len(d) != 1 {
		t.Errorf("%v", d)
	}
}
