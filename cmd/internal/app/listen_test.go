package app

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestListenKeepsToThisMachine(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:7411"} {
		if _, err := listen(t.Context(), []string{address}, false); err == nil || !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.8.8.8:0"} {
		open, err := listen(t.Context(), []string{address}, false)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = open[0].Close()
	}
	open, err := listen(t.Context(), []string{"0.0.0.0:0"}, true)
	if err != nil {
		t.Fatal(err)
	}
	_ = open[0].Close()
}

func TestListenOnPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	_, err = listen(t.Context(), []string{"127.0.0.1:0", address}, false)
	if err == nil || !strings.Contains(err.Error(), "cannot listen on "+address+": another process has this port") {
		t.Errorf("got %v", err)
	}
}

func TestSocketLivesAndGoes(t *testing.T) {
	path := filepath.Join(socketDir(t), "u.sock")
	open, err := listen(t.Context(), []string{"unix://" + path}, false)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != socketMode {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := listen(t.Context(), []string{"unix://" + path}, false); err == nil || !strings.Contains(err.Error(), "a living process listens there") {
		t.Errorf("living: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the living one's file: %v", err)
	}
	_ = open[0].Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the file outlives its listener")
	}
}

// deadSocket leaves a socket file behind that nobody serves.
func deadSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestSocketOfTheDeadIsReplacedOnce(t *testing.T) {
	path := filepath.Join(socketDir(t), "u.sock")
	deadSocket(t, path)
	const rivals = 8
	var all sync.WaitGroup
	won := make(chan net.Listener, rivals)
	for range rivals {
		all.Go(func() {
			if open, err := listen(t.Context(), []string{"unix://" + path}, false); err == nil {
				won <- open[0]
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d of %d took the path", len(won), rivals)
	}
	for l := range won {
		_ = l.Close()
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(socketDir(t), "file")
	write(t, path, "precious")
	if _, err := listen(t.Context(), []string{"unix://" + path}, false); err == nil || !strings.Contains(err.Error(), "not a socket; it is left alone") {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("the file: %q, %v", data, err)
	}
	_, err := listen(t.Context(), []string{"unix://" + filepath.Join(path, "none", "u.sock")}, false)
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("missing folder: %v", err)
	}
}

func TestNothingStaysOpenWhenOneFails(t *testing.T) {
	dir := socketDir(t)
	good, bad := filepath.Join(dir, "good.sock"), filepath.Join(dir, "bad.sock")
	write(t, bad, "")
	if _, err := listen(t.Context(), []string{"unix://" + good, "unix://" + bad}, false); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(good); !os.IsNotExist(err) {
		t.Errorf("the first: %v", err)
	}
	if info, err := os.Stat(bad); err != nil || info.Mode().Type() != fs.FileMode(0) {
		t.Errorf("the second: %v", err)
	}
}
