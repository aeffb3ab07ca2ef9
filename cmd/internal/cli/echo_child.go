package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// echoChild is an echo server in a process of its own, as the usher is.
type echoChild struct {
	address string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	dir     string // holds its socket; blank for TCP
	stop    func() error
}

// echoPatience bounds the start and the end of a child.
const echoPatience = 10 * time.Second

// startEcho starts this program as an echo server that gives the answers, over
// a socket of the same kind as the address.
func startEcho(ctx context.Context, std IO, address string, answers ...proto.Message) (*echoChild, error) {
	c := &echoChild{}
	c.stop = sync.OnceValue(c.end)
	listen := "127.0.0.1:0"
	if strings.HasPrefix(address, "unix:") {
		var err error
		if c.dir, err = os.MkdirTemp("", "usher-echo-"); err != nil {
			return nil, fmt.Errorf("echo server: %w", err)
		}
		listen = "unix://" + filepath.Join(c.dir, "s")
	}
	args := append(append([]string{}, std.Self[1:]...), "echo-server", "--listen", listen)
	// A signal ends the run, and the run ends the child: it still has callers when ctx ends.
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), std.Self[0], args...)
	c.cmd.Stderr = std.Err
	if err := c.start(ctx, answers); err != nil {
		return nil, errors.Join(fmt.Errorf("echo server: %w", err), c.stop())
	}
	return c, nil
}

func (c *echoChild) start(ctx context.Context, answers []proto.Message) error {
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	for _, m := range answers {
		raw, err := proto.Marshal(m)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(c.stdin, base64.StdEncoding.EncodeToString(raw)); err != nil {
			return err
		}
	}
	return c.awaitReady(ctx, stdout)
}

func (c *echoChild) awaitReady(ctx context.Context, stdout io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, echoPatience)
	defer cancel()
	// A child that says nothing is killed, which ends the read.
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return fmt.Errorf("it did not come up: %w", err)
	}
	at, ok := strings.CutPrefix(strings.TrimSpace(line), echoReady)
	if !ok {
		return fmt.Errorf("it said %q", clean(line))
	}
	c.address = at
	return nil
}

// end lets the child end by itself, and kills one that does not.
func (c *echoChild) end() error {
	var err error
	if c.stdin != nil {
		err = c.stdin.Close()
	}
	if c.cmd.Process != nil {
		timer := time.AfterFunc(echoPatience, func() { _ = c.cmd.Process.Kill() })
		err = errors.Join(err, c.cmd.Wait())
		timer.Stop()
	}
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}
