package app

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"usher.internal/cmd/internal/config"
)

func TestCoreWritesIntoTheSameLog(t *testing.T) {
	book := newLogBook()
	log, level := newLogger(book, false, config.Log{Level: "warn", Format: "auto"})
	core := slog.New(slogHandler{core: log.Core()}).With("who", "core").WithGroup("sweep")
	core.Info("not written")
	level.SetLevel(zap.InfoLevel)
	core.With("n", 3).Info("written", "error", errors.New("broken"), slog.Group("in", "took", time.Second))
	text, _ := book.state()
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	for key, want := range map[string]any{
		"level": "info", "msg": "written", "who": "core", "sweep.n": 3.0, "sweep.error": "broken", "sweep.in.took": "1s",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

func TestLogForms(t *testing.T) {
	for _, c := range []struct {
		format   string
		terminal bool
		json     bool
	}{{"auto", false, true}, {"auto", true, false}, {"json", true, true}, {"console", false, false}} {
		book := newLogBook()
		log, _ := newLogger(book, c.terminal, config.Log{Level: "info", Format: c.format})
		log.Info("hello")
		if text, _ := book.state(); strings.HasPrefix(text, "{") != c.json {
			t.Errorf("%+v: %q", c, text)
		}
	}
}

func TestLogIsSampled(t *testing.T) {
	book := newLogBook()
	log, _ := newLogger(book, false, config.Log{Level: "info"})
	for range 10 * sampleFirst {
		log.Info("again")
	}
	if n := book.count("again"); n >= 5*sampleFirst {
		t.Errorf("%d lines", n)
	}
}
