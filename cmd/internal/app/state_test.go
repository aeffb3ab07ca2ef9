package app

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func withState(path, listen string) string {
	return "accounts: [{id: a, max_concurrency: 2}]\nserver: {listen: ['" + listen + "'], drain_timeout: 20ms}\nmemory: {state_file: " + path + "}\n"
}

func TestStateIsWrittenAtTheStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	c := parsed(t, withState(path, "127.0.0.1:0"))
	a := started(t, Options{Config: c})
	take(t, dial(t, a.Addresses()[0]))
	stop(t, a)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	a = started(t, Options{Config: c})
	conn := dial(t, a.Addresses()[0])
	take(t, conn)
	if n := snapshot(t, conn).GetLeasesLive(); n != 2 {
		t.Errorf("%d leases, want 2", n)
	}
}

func TestUsherThatCannotListenLeavesTheState(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	path := filepath.Join(t.TempDir(), "state")
	a, err := New(t.Context(), Options{Config: parsed(t, withState(path, taken.Addr().String()))})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err == nil {
		t.Error("two listen on one port")
	}
	stop(t, a)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the state file: %v", err)
	}
}

func TestReloadNamesWhatARestartTakes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "usher.yaml")
	write(t, path, oneAccount)
	book := newLogBook()
	a := started(t, Options{File: path, Log: book})
	text := strings.Replace(oneAccount, "drain_timeout: 300ms", "drain_timeout: 300ms, max_lease_age: 1h, heartbeat: {grace: 1s}", 1)
	replace(t, path, text+"\nmemory: {state_file: "+filepath.Join(dir, "state")+"}\n")
	book.await(t, "take effect at a restart", 1)
	for _, field := range []string{"server.max_lease_age", "server.heartbeat.grace", "memory.state_file"} {
		if book.count(field) == 0 {
			t.Errorf("%s is not named", field)
		}
	}
	stop(t, a)
	if _, err := os.Stat(filepath.Join(dir, "state")); !os.IsNotExist(err) {
		t.Errorf("the state file: %v", err)
	}
}
