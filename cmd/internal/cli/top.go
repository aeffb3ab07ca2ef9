package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// TopCmd shows an usher live.
type TopCmd struct {
	Interval time.Duration `help:"Time from one snapshot to the next, 100ms to 1h; ${default} unless set." default:"1s" placeholder:"DURATION"`
	Group    string        `help:"Only the accounts of this group; the totals stay those of all." placeholder:"NAME"`
	Sort     string        `help:"Order of the accounts: listing as configured, busy the fullest first, errors the worst first; ${default} unless set." enum:"listing,busy,errors" default:"listing" placeholder:"ORDER"`
	Once     bool          `help:"Print one table and end."`

	Client
}

// Help is shown by --help.
func (TopCmd) Help() string {
	return `Redraws in place until Ctrl-C. Where standard output is no terminal, prints one line for each snapshot instead, or
with -o json one snapshot a line. Rates are taken from one snapshot to the next. The --timeout bounds how long a
snapshot may be overdue before top connects anew. NO_COLOR turns colors off, COLUMNS and LINES set the size.

Examples:

    usher top
    usher top --sort busy --interval 250ms
    usher top --once | less
    usher top -o json | jq .leases_live`
}

// Run watches until ctx ends.
func (c *TopCmd) Run(ctx context.Context, std IO) error {
	if c.Once {
		return c.once(ctx, std)
	}
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	w := &watch{cmd: c, client: usherv1.NewMetricsServiceClient(conn), pause: pause}
	_, _, terminal := std.size()
	if !terminal || c.json() {
		return w.run(ctx, &lines{std: std, json: c.json()})
	}
	s := newScreen(std, topView{address: c.Address, group: c.Group, sort: c.Sort})
	defer s.close()
	return w.run(ctx, s)
}

func (c *TopCmd) once(ctx context.Context, std IO) error {
	var resp *usherv1.GetMetricsResponse
	err := c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = usherv1.NewMetricsServiceClient(conn).GetMetrics(ctx, &usherv1.GetMetricsRequest{Group: c.Group})
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		return writeJSON(std, resp.GetSnapshot(), false)
	}
	v := topView{address: c.Address, group: c.Group, sort: c.Sort, cur: resp.GetSnapshot()}
	var terminal bool
	v.width, _, terminal = std.size()
	v.color = std.colored(terminal)
	_, err = io.WriteString(std.Out, renderTop(v))
	return err
}

// display shows what a watch sees. It is used by one goroutine.
type display interface {
	snapshot(s *usherv1.MetricsSnapshot, skipped uint64) error
	// lost says that there is no connection and why; the watch tries again.
	lost(why string) error
	// resized carries a value when what was shown should be shown again; may be nil.
	resized() <-chan os.Signal
	redraw() error
}

// watch keeps a stream of snapshots up.
type watch struct {
	cmd    *TopCmd
	client usherv1.MetricsServiceClient
	pause  func(context.Context, time.Duration)
}

const (
	firstPause = 250 * time.Millisecond
	longPause  = 2 * time.Second
)

func (w *watch) run(ctx context.Context, d display) error {
	wait := firstPause
	for {
		got, err := w.stream(ctx, d)
		switch {
		case ended(ctx):
			return nil
		case !passing(err):
			return w.cmd.worded(err)
		case got:
			wait = firstPause
		}
		if err := d.lost(shortCause(err)); err != nil {
			return err
		}
		w.pause(ctx, wait)
		wait = min(2*wait, longPause)
	}
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }

// passing reports whether an error may go away when the usher comes back.
func passing(err error) bool {
	if errors.Is(err, io.EOF) {
		return true
	}
	s, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return false
	default:
		return true
	}
}

func shortCause(err error) string {
	switch s, ok := status.FromError(err); {
	case errors.Is(err, io.EOF):
		return "the usher ended the stream"
	case !ok:
		return err.Error()
	case s.Code() == codes.Canceled:
		return "no snapshot came"
	default:
		return clean(s.Message())
	}
}

// stream shows snapshots until it fails, and whether there were any. A
// goroutine of its own receives, so that a resize is not kept waiting.
func (w *watch) stream(ctx context.Context, d display) (got bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.client.StreamMetrics(ctx, &usherv1.StreamMetricsRequest{Interval: durationpb.New(w.cmd.Interval), Group: w.cmd.Group})
	if err != nil {
		return false, err
	}
	messages, failed := make(chan *usherv1.StreamMetricsResponse), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed <- receive(ctx, stream, messages)
	}()
	defer func() { cancel(); <-done }()
	overdue := time.NewTimer(w.cmd.Interval + w.cmd.Timeout)
	defer overdue.Stop()
	for {
		select {
		case m := <-messages:
			overdue.Reset(w.cmd.Interval + w.cmd.Timeout)
			got, err = true, d.snapshot(m.GetSnapshot(), m.GetSkipped())
		case err := <-failed:
			return got, err
		case <-d.resized():
			err = d.redraw()
		case <-overdue.C:
			cancel()
		}
		if err != nil {
			return got, err
		}
	}
}

func receive(ctx context.Context, stream grpc.ServerStreamingClient[usherv1.StreamMetricsResponse], to chan<- *usherv1.StreamMetricsResponse) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case to <- m:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// lines is the display of what is no terminal.
type lines struct {
	std  IO
	json bool
	prev *usherv1.MetricsSnapshot
}

func (l *lines) snapshot(s *usherv1.MetricsSnapshot, skipped uint64) error {
	if l.json {
		return writeJSON(l.std, s, true)
	}
	_, err := fmt.Fprintln(l.std.Out, topLine(l.prev, s, skipped))
	l.prev = s
	return err
}

func (l *lines) lost(why string) error {
	_, err := fmt.Fprintf(l.std.Err, "usher: reconnecting: %s\n", why)
	return err
}

func (l *lines) resized() <-chan os.Signal { return nil }
func (l *lines) redraw() error             { return nil }
