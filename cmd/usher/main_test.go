package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// patience bounds what a test waits for; nothing is measured with it.
const patience = 60 * time.Second

// binary is usher as it is built for users.
var binary string

func TestMain(m *testing.M) {
	if spec := os.Getenv(gatewayEnv); spec != "" {
		os.Exit(gatewayMain(spec))
	}
	if spec := os.Getenv(busyEnv); spec != "" {
		os.Exit(busyMain(spec))
	}
	os.Exit(withBinary(m))
}

// raceBinary reports whether usher is built with the race detector. USHER_RACE_BINARY asks for it where the
// tests are not: a client that is not watched leaves the machine to the usher that is.
func raceBinary() bool { return raceEnabled || os.Getenv("USHER_RACE_BINARY") != "" }

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "usher")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// Of the demo's state nothing stays behind.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "usher")
	args := []string{"build", "-o", binary, "-ldflags", "-X main.version=v0.0.0-test"}
	if raceBinary() {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, ".")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// usher runs a command to its end.
func usher(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("usher %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// output is what a process writes, to be waited for.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) state() (string, chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.grown
}

// server is a running usher serve.
type server struct {
	cmd       *exec.Cmd
	out, log  *output
	ended     chan struct{}
	addresses []string
}

// serve starts an usher and waits until it serves. The test's end kills what is left of it.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := launch(t, nil, args...)
	s.addresses = servingAt(t, s)
	return s
}

// servingAt waits until it serves, and gives where.
func servingAt(t *testing.T, s *server) []string {
	t.Helper()
	var line struct {
		Addresses []string `json:"addresses"`
	}
	if err := json.Unmarshal([]byte(s.await(t, s.log, `"msg":"serving"`, 1)), &line); err != nil {
		t.Fatal(err)
	}
	return line.Addresses
}

// launch starts an usher with more in its environment.
func launch(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	s := &server{out: newOutput(), log: newOutput(), ended: make(chan struct{})}
	s.cmd = exec.Command(binary, append([]string{"serve"}, args...)...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
	})
	return s
}

// await waits until something was written n times and gives the line of the last one.
func (s *server) await(t *testing.T, o *output, what string, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		text, grown := o.state()
		if strings.Count(text, what) >= n {
			at := strings.LastIndex(text, what)
			start := strings.LastIndexByte(text[:at], '\n') + 1
			line, _, _ := strings.Cut(text[start:], "\n")
			return line
		}
		select {
		case <-grown:
		case <-s.ended:
			if after, _ := o.state(); after == text {
				t.Fatalf("usher ended without %q:\n%s", what, text)
			}
		case <-ctx.Done():
			t.Fatalf("%q is not there %d times in\n%s", what, n, text)
		}
	}
}

func (s *server) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end and gives the exit code; -1 is an end by a signal.
func (s *server) exit(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-s.ended:
	case <-ctx.Done():
		text, _ := s.log.state()
		t.Fatalf("usher does not end:\n%s", text)
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) dial(t *testing.T) *grpc.ClientConn { return dial(t, s.addresses[0]) }

func dial(t *testing.T, address string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	conn, err := grpc.NewClient(address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// file writes a configuration that listens on a free port.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const freePort = "\nserver: {listen: ['127.0.0.1:0'], drain_timeout: 500ms}\n"
