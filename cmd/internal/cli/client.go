package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Client are the flags that all commands share which call an usher.
type Client struct {
	Address string        `help:"Where the usher listens: HOST:PORT or unix:///PATH; ${default} unless set." default:"127.0.0.1:7411" env:"USHER_ADDRESS" placeholder:"ADDRESS" group:"Flags shared by all clients:"`
	Timeout time.Duration `help:"Time after which a call is given up, such as 500ms; ${default} unless set." default:"5s" placeholder:"DURATION" group:"Flags shared by all clients:"`
	Output  string        `short:"o" help:"What to print: table for people, or json for scripts." enum:"table,json" default:"table" placeholder:"FORMAT" group:"Flags shared by all clients:"`
}

func (c Client) json() bool { return c.Output == "json" }

func (c Client) dial() (*grpc.ClientConn, error) {
	if c.Address == "" {
		return nil, usagef("--address is blank: give HOST:PORT or unix:///PATH")
	}
	if c.Timeout <= 0 {
		return nil, usagef("--timeout is %s: give a time above 0", brief(c.Timeout))
	}
	// An usher stands beside its clients: a proxy for the outside world is of no use on the way to it.
	conn, err := grpc.NewClient(c.Address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return nil, usagef("--address %s: %v", c.Address, err)
	}
	return conn, nil
}

// call dials, gives fn a connection and a context bounded by the timeout, and
// words its error for a person.
func (c Client) call(ctx context.Context, fn func(context.Context, *grpc.ClientConn) error) error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.worded(fn(ctx, conn))
}

// worded turns a gRPC error into one that tells a person what to do.
func (c Client) worded(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	var b strings.Builder
	code, reason, said := s.Code(), reasonOf(s), told(s.Message())
	switch {
	case code == codes.Unavailable && (reason == "DRAINING" || reason == "CLOSED"):
		fmt.Fprintf(&b, "the usher at %s is stopping: %s", c.Address, said)
	case code == codes.Unavailable && reason == "STORE_UNAVAILABLE":
		fmt.Fprintf(&b, "the usher at %s has lost its store: %s", c.Address, said)
	case code == codes.Unavailable:
		fmt.Fprintf(&b, "no usher answers at %s: %s", c.Address, said)
	case code == codes.DeadlineExceeded:
		fmt.Fprintf(&b, "no answer from %s within %s", c.Address, brief(c.Timeout))
	default:
		fmt.Fprintf(&b, "%s: %s", code, said)
	}
	for _, d := range s.Details() {
		writeDetail(&b, d, s)
	}
	if code == codes.Unavailable && reason == "" {
		b.WriteString("\n  start one with: usher serve --demo; or name another with --address or USHER_ADDRESS")
	}
	return &wordedError{text: b.String(), cause: err}
}

// reasonOf is why an usher failed a call; blank when no usher said so.
func reasonOf(s *status.Status) string {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// writeDetail adds what the status does not say in its code and message already.
func writeDetail(b *strings.Builder, detail any, s *status.Status) {
	switch d := detail.(type) {
	case *errdetails.BadRequest:
		for _, v := range d.GetFieldViolations() {
			if text := v.GetField() + ": " + v.GetDescription(); !strings.HasPrefix(s.Message(), text) {
				fmt.Fprintf(b, "\n  %s", told(text))
			}
		}
	case *errdetails.ErrorInfo:
		if !strings.EqualFold(strings.ReplaceAll(d.GetReason(), "_", ""), s.Code().String()) {
			fmt.Fprintf(b, "\n  reason: %s", clean(d.GetReason()))
		}
	case *errdetails.RetryInfo:
		fmt.Fprintf(b, "\n  try again in %s", brief(d.GetRetryDelay().AsDuration()))
	}
}

type wordedError struct {
	text  string
	cause error
}

func (e *wordedError) Error() string { return e.text }
func (e *wordedError) Unwrap() error { return e.cause }

// writeJSON prints a message with the field names of the proto files, zero
// values included: on one line for streams, else indented.
func writeJSON(std IO, m proto.Message, oneLine bool) error {
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	// protojson varies its spaces on purpose.
	var b bytes.Buffer
	if oneLine {
		err = json.Compact(&b, raw)
	} else {
		err = json.Indent(&b, raw, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	b.WriteByte('\n')
	_, err = std.Out.Write(b.Bytes())
	return err
}
