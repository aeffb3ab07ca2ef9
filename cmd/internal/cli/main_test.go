package cli

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain lets the test binary stand for usher where load starts it as its echo server.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "echo-server") {
		os.Exit(runLine(context.Background(), System("test"), os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

type line struct {
	Commands
}

// runLine is what main does with the arguments.
func runLine(ctx context.Context, std IO, args []string) int {
	helped := false
	parser, err := kong.New(&line{}, append(Options(), kong.Writers(std.Out, std.Err), kong.Exit(func(int) { helped = true }))...)
	if err != nil {
		return Exit(std.Err, err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err == nil {
		parsed.BindTo(ctx, (*context.Context)(nil))
		err = parsed.Run(std)
	}
	return Exit(std.Err, err)
}

type result struct {
	out, err string
	code     int
}

// now is when all tests take place.
var now = time.Date(2026, 10, 1, 14, 31, 2, 0, time.UTC)

func fakeIO(out, errs io.Writer, env map[string]string) IO {
	return IO{
		Out: out, Err: errs, In: strings.NewReader(""),
		Env:  func(name string) string { return env[name] },
		Now:  func() time.Time { return now },
		Size: func() (int, int, bool) { return 0, 0, false },
		Self: []string{os.Args[0]},
	}
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := runLine(t.Context(), fakeIO(&out, &errs, nil), args)
	return result{out: out.String(), err: errs.String(), code: code}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update writes it anew), -want +got:\n%s", path, diff)
	}
}
