// Package redistest starts real Redis servers for tests: one server, a Cluster with replicas, and one that Sentinels
// watch. Each has its own directory and free ports on the loopback, and ends with the test, or with the test's process
// if that is killed. A Proxy before a server counts what goes over the wire and loses it when told to.
//
// A list of harnesses asks Available, and without servers leaves the entry out: nothing is skipped.
package redistest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"usher.internal/store/storetest"
)

const (
	// binary means: the program that is a server, a cluster's node and a Sentinel.
	binary = "redis-server"
	// required means: the variable that, when not empty, makes a missing server a failure.
	required = "USHER_REQUIRE_REDIS"
	// patience means: how long anything here may take on a loaded machine before it has failed.
	patience = 2 * time.Minute
	// pollEvery means: the pause between two looks at what cannot be waited for.
	pollEvery = 5 * time.Millisecond
	host      = "127.0.0.1"
)

// Servers are for tests of testing and for the checks of a suite alike.
var _ storetest.TB = testing.TB(nil)

// check fails the test when there is an error.
func check(t storetest.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
}

// Available reports whether tests have to run on real servers: where there is one, and also where USHER_REQUIRE_REDIS
// is set, so that a missing one fails the test that wants to start it.
func Available() bool {
	_, err := exec.LookPath(binary)
	return err == nil || os.Getenv(required) != ""
}

// logTail means: how many lines of each log a failure shows.
const logTail = 20

// await is until that fails the test, and shows what the servers had to say.
func await(t storetest.TB, servers []*Server, is func() error) {
	t.Helper()
	err := until(is)
	if err == nil {
		return
	}
	var logs strings.Builder
	for _, s := range servers {
		lines := strings.SplitAfter(s.Log(), "\n")
		logs.WriteString("\n" + s.Addr() + ":\n" + strings.Join(lines[max(0, len(lines)-logTail):], ""))
	}
	check(t, fmt.Errorf("%w%s", err, logs.String()))
}

// until looks until it is so, and gives the last reason why not when that takes too long.
func until(is func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		err := is()
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return err
		}
	}
}
