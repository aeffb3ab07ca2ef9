package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	usherv1 "usher.internal/gen/usher/v1"
)

// EchoServerCmd is the other side of load --echo: a plain gRPC server that
// gives the same two answers to everyone. It reads them from standard input,
// one a line in base64, says on standard output where it listens, and ends
// when standard input does, so that it never outlives its parent.
type EchoServerCmd struct {
	Listen string `help:"HOST:PORT or unix:///PATH." default:"127.0.0.1:0"`
}

// echoReady starts the line that says where the server listens.
const echoReady = "echo listens at "

// Run serves.
func (c *EchoServerCmd) Run(ctx context.Context, std IO) error {
	in := bufio.NewReader(std.In)
	echo := &echo{selected: &usherv1.SelectResponse{}, reported: &usherv1.ReportResponse{}}
	for _, m := range []proto.Message{echo.selected, echo.reported} {
		if err := readCanned(in, m); err != nil {
			return err
		}
	}
	network, address := "tcp", c.Listen
	if path, ok := strings.CutPrefix(c.Listen, "unix://"); ok {
		network, address = "unix", path
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return fmt.Errorf("echo server: %w", err)
	}
	// What anybody gets who asks for a server and nothing else.
	server := grpc.NewServer()
	usherv1.RegisterSchedulerServiceServer(server, echo)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	at := listener.Addr().String()
	if network == "unix" {
		at = "unix://" + at
	}
	fmt.Fprintln(std.Out, echoReady+at)
	_, err = io.Copy(io.Discard, in)
	server.Stop()
	return errors.Join(err, <-served)
}

func readCanned(in *bufio.Reader, m proto.Message) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("echo server: read an answer from standard input: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("echo server: answer on standard input: %w", err)
	}
	if err := proto.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("echo server: answer on standard input: %w", err)
	}
	return nil
}

type echo struct {
	usherv1.UnimplementedSchedulerServiceServer
	selected *usherv1.SelectResponse
	reported *usherv1.ReportResponse
}

func (e *echo) Select(context.Context, *usherv1.SelectRequest) (*usherv1.SelectResponse, error) {
	return e.selected, nil
}

func (e *echo) Report(context.Context, *usherv1.ReportRequest) (*usherv1.ReportResponse, error) {
	return e.reported, nil
}
