package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/term"

	"usher.internal/cmd/internal/app"
	"usher.internal/cmd/internal/app/demo"
	"usher.internal/cmd/internal/cli"
	"usher.internal/cmd/internal/config"
	"usher.internal/core"
)

// serveCmd runs an usher.
type serveCmd struct {
	Config       string         `help:"The configuration file; it is read again when it changes and on SIGHUP." placeholder:"FILE" xor:"pool"`
	Demo         bool           `help:"Serve a made-up pool with a little simulated traffic, to look at." xor:"pool"`
	DemoTraffic  bool           `help:"Whether the demo has traffic." default:"true" negatable:""`
	Listen       []string       `help:"Where to listen: HOST:PORT or unix:///PATH; can be given again. Wins over the file." sep:"none" placeholder:"ADDRESS"`
	Redis        []string       `help:"The Redis that several ushers share as one store, in place of memory: redis://HOST[:PORT], rediss:// for TLS, or unix:///PATH; several for Sentinels or a Cluster, with redis.mode in the file. Wins over the file." env:"USHER_REDIS" placeholder:"URL"`
	Insecure     bool           `help:"Allow addresses that other machines reach, without TLS."`
	DrainTimeout *time.Duration `help:"How long what is in flight may take to end at a stop. Wins over the file." placeholder:"DURATION"`
	LogLevel     string         `help:"The least severe log lines: debug, info, warn or error. Wins over the file." enum:",debug,info,warn,error" default:"" placeholder:"LEVEL"`
}

// Help is shown by --help.
func (serveCmd) Help() string {
	return `Serves until SIGTERM or Ctrl-C, then lets what is in flight end; a second signal ends usher at once. It listens on
127.0.0.1:7411 unless it is told otherwise, and logs to standard error.

A password for Redis is in the file that redis.password_file names, or in the environment: USHER_REDIS_PASSWORD, and for Sentinels
USHER_REDIS_SENTINEL_PASSWORD.

Exit codes: 0 stopped by a signal, 1 it could not start, a listener failed, or a second signal came, 2 a mistake on the command line.

Examples:

    usher serve --demo
    usher config example > usher.yaml && usher serve --config usher.yaml
    usher serve --config usher.yaml --listen unix:///run/usher/usher.sock --listen 127.0.0.1:7411
    usher serve --config usher.yaml --redis unix:///run/redis/redis.sock`
}

// Validate refuses what cannot be meant.
func (c *serveCmd) Validate() error {
	switch {
	case c.Config == "" && !c.Demo:
		return errors.New("an usher needs accounts: give --config FILE (usher config example prints one to start from), " +
			"or --demo to look at a made-up pool")
	case !c.DemoTraffic && !c.Demo:
		return errors.New("--no-demo-traffic is for --demo")
	case c.Demo && len(c.Redis) > 0:
		return errors.New("the demo keeps what it holds in memory: leave out --redis (USHER_REDIS)")
	case c.DrainTimeout != nil && *c.DrainTimeout < 0:
		return errors.New("--drain-timeout is below 0: give 0s or more")
	}
	for _, address := range c.Listen {
		if err := config.CheckAddress(address); err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
	}
	for _, u := range c.Redis {
		if err := config.CheckRedisURL(u); err != nil {
			return fmt.Errorf("--redis: the URL %w; give redis://HOST[:PORT], rediss://HOST[:PORT] or unix:///PATH", err)
		}
	}
	return nil
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std cli.IO) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	opts := app.Options{
		File: c.Config, Override: c.override, Log: std.Err, Terminal: term.IsTerminal(int(os.Stderr.Fd())), Version: std.Version,
		Secrets: app.Secrets{Redis: std.Env("USHER_REDIS_PASSWORD"), Sentinel: std.Env("USHER_REDIS_SENTINEL_PASSWORD")},
	}
	if c.Demo {
		made, err := demo.Config(std.Now())
		if err != nil {
			return err
		}
		opts.Config = made
		c.keepDemo(made, std)
	}
	a, err := app.New(ctx, opts)
	if err != nil {
		return unlessTold(ctx, err)
	}
	if err := a.Start(ctx); err != nil {
		return errors.Join(unlessTold(ctx, err), a.Stop(context.Background()))
	}
	reloadOn(hangups, a)
	if c.Demo {
		c.startDemo(a, std, opts.Config.Memory.StateFile)
	}
	select {
	case <-ctx.Done():
	case <-a.Done():
	}
	return a.Stop(context.Background())
}

// unlessTold gives why usher did not start; that it was told to end meanwhile is no fault.
func unlessTold(ctx context.Context, err error) error {
	if own := ctx.Err(); own != nil && errors.Is(err, own) {
		return nil
	}
	return err
}

// keepDemo lets a demo on an address of its own go on where the last one stopped.
func (c *serveCmd) keepDemo(made *config.Config, std cli.IO) {
	address := made.Server.Listen[0]
	if len(c.Listen) > 0 {
		address = c.Listen[0]
	}
	if strings.HasSuffix(address, ":0") {
		return // another port each time
	}
	path, err := demoState(address)
	if err != nil {
		fmt.Fprintln(std.Err, "the demo keeps no state:", err)
		return
	}
	made.Memory.StateFile = path
}

func (c *serveCmd) override(read *config.Config) {
	s := &read.Server
	if len(c.Listen) > 0 {
		s.Listen = c.Listen
	}
	if len(c.Redis) > 0 {
		read.Redis.URLs = c.Redis
	}
	if c.Insecure {
		s.Insecure = true
	}
	if c.DrainTimeout != nil {
		s.DrainTimeout = *c.DrainTimeout
	}
	if c.LogLevel != "" {
		s.Log.Level = c.LogLevel
	}
}

func reloadOn(hangups <-chan os.Signal, a *app.App) {
	a.Go("hangups", func(ctx context.Context) {
		for {
			select {
			case <-hangups:
				_ = a.Reload(ctx) // it is in the log
			case <-ctx.Done():
				return
			}
		}
	})
}

func (c *serveCmd) startDemo(a *app.App, std cli.IO, state string) {
	address := a.Addresses()[0]
	if c.DemoTraffic {
		life := demo.NewLife(address, core.SystemClock{})
		a.Go("demo traffic", func(ctx context.Context) {
			if err := life.Run(ctx); err != nil {
				a.Log().Error("the demo's traffic ended", zap.Error(err))
			}
		})
	}
	fmt.Fprint(std.Out, next(self(std), banner{address: address, traffic: c.DemoTraffic, state: state}))
}

// banner is what a newcomer is told of the demo; state may be blank.
type banner struct {
	address string
	traffic bool
	state   string
}

// next tells a newcomer what to type.
func next(self string, demo banner) string {
	at := ""
	if demo.address != config.Default().Server.Listen[0] {
		at = " --address " + demo.address
	}
	var b strings.Builder
	b.WriteString("\nThis is a demo: 8 made-up accounts of three providers in the groups chat and batch")
	if demo.traffic {
		b.WriteString(", with a little traffic\n(--no-demo-traffic is without)")
	}
	b.WriteString(". Ctrl-C ends it")
	if demo.state != "" {
		b.WriteString(";\nwhat is held, bound and learned outlives it in " + demo.state)
	}
	b.WriteString(". In a second terminal:\n\n")
	for _, example := range []struct{ line, says string }{
		{"top", "watch it live"},
		{"select --model gpt-5 --session 4f1d", "which account, and why; again: the same one"},
		{"select --group chat --dry-run --explain", "what is thought of every account"},
		{"report --lease TOKEN --finished success", "with the lease that select printed: gives the slot back"},
		{"explain --list", "the decisions of late"},
	} {
		words := strings.SplitN(example.line, " ", 2)
		words[0] += at
		fmt.Fprintf(&b, "  # %s\n  %s %s\n", example.says, self, strings.Join(words, " "))
	}
	b.WriteString("\n")
	return b.String()
}

// self is how a person calls this program.
func self(std cli.IO) string {
	called := os.Args[0]
	if len(std.Self) > 0 && strings.Contains(std.Self[0], string(filepath.Separator)+"go-build") {
		return "go run ./cmd/usher"
	}
	if found, err := exec.LookPath(filepath.Base(called)); err == nil && len(std.Self) > 0 && found == std.Self[0] {
		return filepath.Base(called)
	}
	return called
}
