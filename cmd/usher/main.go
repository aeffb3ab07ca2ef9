// Command usher is a scheduling sidecar for LLM gateways: the server, and clients of it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"usher.internal/cmd/internal/cli"
)

// version is set at build time: -ldflags '-X main.version=…'.
var version string

// commands are all that usher can do.
type commands struct {
	Serve  serveCmd  `cmd:"" help:"Run an usher."`
	Config configCmd `cmd:"" help:"Check a configuration file, or print an example."`
	cli.Commands
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go endOn(signals, cancel)

	var line commands
	parser, err := kong.New(&line, cli.Options()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "usher:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err == nil {
		parsed.BindTo(ctx, (*context.Context)(nil))
		err = parsed.Run(cli.System(version))
	}
	return cli.Exit(os.Stderr, err)
}

// endOn lets the first signal end what runs, and the second the process. It lives as long as the process.
func endOn(signals <-chan os.Signal, end func()) {
	<-signals
	end()
	<-signals
	os.Exit(1)
}
