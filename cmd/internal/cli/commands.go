// Package cli holds the subcommands of usher that are clients of a running one, and outcomes.
//
// A program embeds Commands in its own command line, binds a context that ends
// on a signal, and ends with the code that Exit gives:
//
//	var line struct {
//		cli.Commands
//		Serve app.ServeCmd `cmd:"" help:"Run an usher."`
//	}
//	parser, err := kong.New(&line, cli.Options()...)
//	…
//	parsed, err := parser.Parse(os.Args[1:])
//	if err == nil {
//		parsed.BindTo(ctx, (*context.Context)(nil))
//		err = parsed.Run(cli.System(version))
//	}
//	os.Exit(cli.Exit(os.Stderr, err))
package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// Commands are the client subcommands, to be embedded in a command line.
type Commands struct {
	Select     SelectCmd     `cmd:"" help:"Ask which account takes a request, and hold one of its slots."`
	Report     ReportCmd     `cmd:"" help:"Tell how a leased request went, or give its slot back."`
	Renew      RenewCmd      `cmd:"" help:"Extend leases that are still in use."`
	Explain    ExplainCmd    `cmd:"" help:"Show why a past decision chose what it chose, or list recent decisions."`
	Top        TopCmd        `cmd:"" help:"Watch accounts, rates and latencies live."`
	Load       LoadCmd       `cmd:"" help:"Generate load and measure throughput and latency, beside a bare gRPC echo if asked."`
	Outcomes   OutcomesCmd   `cmd:"" help:"Print what an upstream's status and error code mean, and what follows."`
	Version    VersionCmd    `cmd:"" help:"Print the version of this program."`
	EchoServer EchoServerCmd `cmd:"" hidden:"" help:"Serve canned answers for load --echo until standard input ends."`
}

// Exit codes besides 0.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitWaitPlan = 3
	exitRefusal  = 4
)

// StatusError ends the program with a code. Whoever returns it has told the
// user why already.
type StatusError struct {
	Code int
}

func (e *StatusError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// usageError is a mistake on the command line that only the command can see.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// Options are the settings of a command line that holds Commands.
func Options() []kong.Option {
	return []kong.Option{
		kong.Name("usher"),
		kong.Description("A scheduling sidecar for LLM gateways: which upstream account takes this request?"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	}
}

// Exit writes what went wrong, unless the user knows, and returns the code with
// which the program should end: 0 done, 1 failed, 2 a mistake on the command
// line, others as the command's help says.
func Exit(w io.Writer, err error) int {
	var status *StatusError
	var parse *kong.ParseError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return status.Code
	case errors.As(err, &parse), errors.As(err, &usage):
		fmt.Fprintf(w, "usher: %s\nusher: --help after a command shows its flags, with an example\n", withNearGuesses(err.Error()))
		return exitUsage
	default:
		fmt.Fprintf(w, "usher: %v\n", err)
		return exitFailed
	}
}
