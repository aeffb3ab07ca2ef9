package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	usherv1 "usher.internal/gen/usher/v1"
)

type snapshots = grpc.ServerStreamingServer[usherv1.StreamMetricsResponse]

// breaking is an usher that ends its stream after each snapshot, and the watch
// with it after three.
func breaking(cancel context.CancelFunc) *fake {
	n := 0
	return &fake{onStream: func(_ *usherv1.StreamMetricsRequest, s snapshots) error {
		n++
		if n > 3 {
			cancel()
			<-s.Context().Done()
			return nil
		}
		if n == 2 {
			return nil
		}
		if err := s.Send(&usherv1.StreamMetricsResponse{Snapshot: laterSnapshot(), Skipped: 2}); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "going away")
	}}
}

func watchOf(t *testing.T, address string, c *TopCmd) *watch {
	t.Helper()
	c.Client = Client{Address: address, Timeout: time.Minute, Output: "table"}
	c.Interval = time.Second
	conn, err := c.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &watch{cmd: c, client: usherv1.NewMetricsServiceClient(conn), pause: func(context.Context, time.Duration) {}}
}

func TestTopRedrawsReconnectsAndGivesTheScreenBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	std := fakeIO(&out, &out, map[string]string{"NO_COLOR": "1"})
	std.Size = func() (int, int, bool) { return 80, 24, true }
	w := watchOf(t, breaking(cancel).serve(t, "tcp"), &TopCmd{})
	s := newScreen(std, topView{address: "here"})
	if err := w.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	s.close()
	text := out.String()
	if !strings.HasPrefix(text, enterScreen) || !strings.HasSuffix(text, leaveScreen) {
		t.Errorf("the alternate screen is not entered and left: %q", text)
	}
	for _, want := range []string{"connecting", "openai-seat-01", "2 skipped", "reconnecting: going away", "reconnecting: the usher ended the stream"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q was never shown", want)
		}
	}
	if strings.Contains(text, string(green)) {
		t.Error("colors in spite of NO_COLOR")
	}
}

func TestTopPrintsLinesWhereThereIsNoTerminal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	w := watchOf(t, breaking(cancel).serve(t, "tcp"), &TopCmd{})
	if err := w.run(ctx, &lines{std: fakeIO(&out, &errs, nil)}); err != nil {
		t.Fatal(err)
	}
	golden(t, "top_lines.txt", out.String())
	if n := strings.Count(errs.String(), "reconnecting"); n != 3 {
		t.Errorf("%d times reconnecting:\n%s", n, errs.String())
	}
}

func TestTopGivesUpOnWhatWillNotPass(t *testing.T) {
	f := &fake{onStream: func(*usherv1.StreamMetricsRequest, snapshots) error {
		return status.Error(codes.InvalidArgument, "interval: at least 100 ms")
	}}
	r := run(t, "top", "--address", f.serve(t, "tcp"), "--interval", "1ms")
	if r.code != 1 || !strings.Contains(r.err, "at least 100 ms") {
		t.Errorf("%+v", r)
	}
}

func TestTopConnectsAnewWhenNothingComes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &fake{onStream: func(_ *usherv1.StreamMetricsRequest, s snapshots) error {
		<-s.Context().Done()
		return nil
	}}
	var out, errs bytes.Buffer
	w := watchOf(t, f.serve(t, "tcp"), &TopCmd{})
	w.cmd.Interval, w.cmd.Timeout = time.Millisecond, time.Millisecond
	w.pause = func(context.Context, time.Duration) { cancel() }
	if err := w.run(ctx, &lines{std: fakeIO(&out, &errs, nil)}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(errs.String(), "reconnecting") {
		t.Errorf("got %q", errs.String())
	}
}

func TestTopOnce(t *testing.T) {
	f := &fake{}
	address := f.serve(t, "tcp")
	r := run(t, "top", "--once", "--address", address)
	if r.code != 0 || strings.Contains(r.out, "\x1b") || !strings.Contains(r.out, "rate limited 1m42s") {
		t.Errorf("%+v", r)
	}
	if r := run(t, "top", "--once", "--address", address, "-o", "json"); !strings.Contains(r.out, `"leases_live": "118"`) {
		t.Errorf("%+v", r)
	}
}
