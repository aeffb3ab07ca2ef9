package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"usher.internal/cmd/internal/cli/loadgen"
)

// LoadCmd generates load and measures.
type LoadCmd struct {
	Callers     *int          `help:"Closed loop: callers at once, each with one pair under way. With --rate, the most pairs under way. Unset means 64, or 1024 with --rate." placeholder:"N"`
	Rate        float64       `help:"Open loop: start so many pairs each second, whether or not earlier ones have ended." placeholder:"N"`
	Arrivals    string        `help:"With --rate, how the starts are spaced: poisson or fixed; ${default} unless set." enum:"poisson,fixed" default:"poisson" placeholder:"KIND"`
	Duration    time.Duration `help:"Time under load in all, at most 1h, divided among the rounds; the echo has as much again; ${default} unless set." default:"10s" placeholder:"DURATION"`
	Rounds      int           `help:"Rounds into which the duration is divided; at least 5 with --echo. Medians are taken over rounds; ${default} unless set." default:"5" placeholder:"N"`
	Connections int           `help:"Connections to spread the callers over; ${default} unless set." default:"1" placeholder:"N"`

	Group       string        `help:"Group to select from; blank means all accounts." placeholder:"NAME"`
	Model       string        `help:"Model to ask for." placeholder:"NAME"`
	Sessions    int           `help:"Number of conversations that requests belong to; 0 means none." default:"0" placeholder:"N"`
	StickyShare float64       `help:"With --sessions, the share of requests that belong to one, 0 to 1; ${default} unless set." default:"1" placeholder:"SHARE"`
	Reports     string        `help:"How a pair reports: unary, a call for each, or stream, one stream for each connection; ${default} unless set." enum:"unary,stream" default:"unary" placeholder:"KIND"`
	Hold        time.Duration `help:"Time that a lease is held between Select and Report; it is part of no latency; ${default} unless set." default:"0s" placeholder:"DURATION"`
	Wait        time.Duration `help:"How long a Select may stand in line when all is full; --timeout must be longer; ${default} unless set." default:"0s" placeholder:"DURATION"`
	Seed        uint64        `help:"Seed of sessions and arrivals; ${default} unless set." default:"1" placeholder:"N"`

	Echo        bool `help:"Measure a bare gRPC echo with the same messages in the same run, and print the ratio."`
	AllowRemote bool `help:"Send the load to an address that is not on this machine."`

	Client
}

// Help is shown by --help.
func (LoadCmd) Help() string {
	return `A pair is a Select and the Report that it finished. The load goes to a running usher and changes its figures and
bindings; each lease is given back. It is meant to fill a machine up, so it only goes to loopback addresses and unix
sockets unless --allow-remote says that the other machine's owner agrees.

A closed loop measures throughput. An open loop measures latency at a given rate: from the time at which a pair was
meant to start, so that a slow answer counts for everyone it kept waiting.

With --echo a child process serves the very answers of this usher with a plain gRPC server. Rounds alternate between the
two, the ratio is the median over the rounds: pairs against pairs of echo calls, or with --reports stream against single
echo calls. It is a fair one when both processes have nothing else to do.

Examples:

    usher load
    usher load --echo --callers 64 --sessions 1000
    usher load --echo --rate 4000 --address unix:///tmp/usher.sock
    usher load --reports stream --connections 4 --duration 30s -o json`
}

const (
	maxDuration   = time.Hour
	minEchoRounds = 5
	maxCallers    = 100_000
)

// Run measures and prints.
func (c *LoadCmd) Run(ctx context.Context, std IO) error {
	if err := c.check(); err != nil {
		return err
	}
	r, err := c.measure(ctx, std)
	if err != nil {
		return c.worded(err)
	}
	if c.json() {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	width, _, _ := std.size()
	_, err = fmt.Fprint(std.Out, renderLoad(r, width))
	return err
}

func (c *LoadCmd) check() error {
	callers := c.callers()
	switch {
	case !c.AllowRemote && !onThisMachine(c.Address):
		return usagef("--address %s is not on this machine: this is a load generator, so say --allow-remote if the owner of that machine agrees", c.Address)
	case c.Echo && !onThisMachine(c.Address):
		return usagef("--echo runs on this machine, so it compares nothing with an usher on another one")
	case callers < 1 || callers > maxCallers:
		return usagef("--callers is %d: give 1 to %d", callers, maxCallers)
	case !(c.Rate >= 0 && c.Rate <= 1e6):
		return usagef("--rate is %v: give 0 to 1000000 pairs each second", c.Rate)
	case c.Duration <= 0 || c.Duration > maxDuration:
		return usagef("--duration is %s: give a time up to %s", brief(c.Duration), brief(maxDuration))
	case c.Rounds < 1 || c.Rounds > 1000 || c.Echo && c.Rounds < minEchoRounds:
		return usagef("--rounds is %d: give 1 to 1000, with --echo at least %d", c.Rounds, minEchoRounds)
	case c.Connections < 1 || c.Connections > 1000:
		return usagef("--connections is %d: give 1 to 1000", c.Connections)
	case c.Sessions < 0:
		return usagef("--sessions is %d: give 0 or more", c.Sessions)
	case !(c.StickyShare >= 0 && c.StickyShare <= 1):
		return usagef("--sticky-share is %v: give 0 to 1", c.StickyShare)
	case c.Hold < 0 || c.Hold > maxDuration:
		return usagef("--hold is %s: give a time up to %s", brief(c.Hold), brief(maxDuration))
	case c.Wait < 0 || c.Wait > maxDuration || c.Wait > 0 && c.Wait >= c.Timeout:
		return usagef("--wait is %s: give a time up to %s and below --timeout, which is %s", brief(c.Wait), brief(maxDuration), brief(c.Timeout))
	}
	return nil
}

func (c *LoadCmd) callers() int {
	switch {
	case c.Callers != nil:
		return *c.Callers
	case c.Rate > 0:
		return 1024
	default:
		return 64
	}
}

// onThisMachine reports whether an address can be no other machine's.
func onThisMachine(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unix-abstract:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (c *LoadCmd) plan() loadgen.Plan {
	return loadgen.Plan{
		Callers:  c.callers(),
		Rate:     c.Rate,
		Poisson:  c.Arrivals == "poisson",
		Duration: c.Duration / time.Duration(c.Rounds),
		Seed:     c.Seed,
		Clock:    loadgen.Precise{},
	}
}

func (c *LoadCmd) work(std IO) loadgen.Work {
	w := loadgen.Work{
		Group:       c.Group,
		Model:       c.Model,
		Sessions:    c.Sessions,
		StickyShare: c.StickyShare,
		Hold:        c.Hold,
		Wait:        c.Wait,
		Timeout:     c.Timeout,
		Seed:        c.Seed,
		Clock:       loadgen.Timers{},
	}
	if c.streamed() {
		w.Owner = owner(strconv.Itoa(os.Getpid()), std.Now())
	}
	return w
}

func (c *LoadCmd) streamed() bool { return c.Reports == "stream" }
