package core

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestRecurring: a line when it begins to fail and one when it works again, and none for a store that others say is out of reach.
func TestRecurring(t *testing.T) {
	away, other := error(&Error{Kind: KindStoreUnavailable, Text: "away"}), errors.New("other")
	type step struct {
		err      error
		degraded bool
		line     string
	}
	for name, steps := range map[string][]step{
		"other":         {{nil, false, ""}, {other, false, "fails"}, {other, false, ""}, {nil, false, "works"}, {nil, false, ""}},
		"out of reach":  {{away, true, ""}, {away, true, ""}, {nil, false, ""}},
		"nobody says":   {{away, false, "fails"}, {nil, false, "works"}},
		"said later":    {{away, false, "fails"}, {away, true, ""}, {nil, true, "works"}},
		"other besides": {{away, true, ""}, {other, true, "fails"}, {nil, true, "works"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			degraded := false
			news := recurring{
				Scheduler: &Scheduler{logger: slog.New(slog.NewTextHandler(&out, nil)), degraded: func() bool { return degraded }},
				fails:     "fails", works: "works",
			}
			for n, s := range steps {
				out.Reset()
				degraded = s.degraded
				news.ended(t.Context(), s.err)
				if got := out.String(); (got == "") != (s.line == "") || !strings.Contains(got, s.line) {
					t.Errorf("step %d: %q, want %q", n, got, s.line)
				}
			}
		})
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	news := recurring{Scheduler: &Scheduler{logger: slog.New(slog.NewTextHandler(&out, nil)), degraded: func() bool { return false }}}
	if news.ended(over, other); out.Len() > 0 {
		t.Errorf("at the end: %q", out.String())
	}
}
