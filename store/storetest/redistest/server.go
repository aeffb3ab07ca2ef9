package redistest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"usher.internal/store/storetest"
)

// portTries means: how many ports are tried when another process takes the one that was free.
const portTries = 3

// Server is one redis-server. Its methods fail the test that started it when they cannot do what they say.
type Server struct {
	t        storetest.TB
	settings settings
	dir      string
	port     int
	bus      int // the port for other nodes
	trust    *tls.Config

	mu     sync.Mutex // guards what follows
	proc   *process
	paused bool
}

// Single starts a server that keeps nothing on its disk unless an option says so. The test's end stops it.
func Single(t storetest.TB, options ...Option) *Server {
	t.Helper()
	s, err := begin(t, options...)
	if err == nil {
		err = s.settle()
	}
	check(t, err)
	return s
}

// begin makes a server's directory and files; settle gives it a port and starts it.
func begin(t storetest.TB, options ...Option) (*Server, error) {
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		return nil, err
	}
	s := &Server{t: t, dir: dir}
	for _, o := range options {
		o(&s.settings)
	}
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("redistest: %v", err)
		}
	})
	// Sentinels and replicas write down here what they have been told.
	err = os.WriteFile(s.file("conf"), nil, 0o600)
	if s.settings.authority != nil {
		trust, wrong := s.settings.authority.certify(s.file)
		s.trust, err = trust, errors.Join(err, wrong)
	}
	if len(s.settings.acl) > 0 {
		own := "user " + s.settings.user + " on >" + s.settings.password + " ~* &* +@all\n"
		err = errors.Join(err, os.WriteFile(s.file("users.acl"), []byte(own+strings.Join(s.settings.acl, "\n")+"\n"), 0o600))
	}
	return s, err
}

func (s *Server) settle() error {
	var err error
	for range portTries {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if s.bus, err = freePort(); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return nil
		}
	}
	return err
}

// start launches the program and waits until it answers on its socket, which nobody else can have.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && !s.proc.gone() {
		return errors.New("it runs already")
	}
	out, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	p, err := launch(out, binary, s.args()...)
	if err != nil {
		return err
	}
	s.proc, s.paused = p, false
	dead := false
	err = until(func() error {
		if dead = p.gone(); dead {
			return nil
		}
		_, err := s.Do("PING")
		return err
	})
	if dead {
		err = errors.New("it ended")
	}
	if err != nil {
		_ = p.signal(os.Kill)
		<-p.ended
		return fmt.Errorf("%s on port %d: %w\n%s", binary, s.port, err, s.Log())
	}
	return nil
}

func (s *Server) args() []string {
	port, other := "--port", "--tls-port"
	if s.settings.authority != nil {
		port, other = other, port
	}
	args := []string{s.file("conf")}
	if s.settings.sentinel {
		args = append(args, "--sentinel")
	}
	args = append(args,
		"--bind", host, port, strconv.Itoa(s.port), other, "0", "--unixsocket", s.Socket(), "--dir", s.dir,
		"--daemonize", "no", "--save", "", "--enable-debug-command", "local",
	)
	if s.settings.bus {
		args = append(args, "--cluster-port", strconv.Itoa(s.bus))
	}
	if s.settings.authority != nil {
		args = append(args, "--tls-ca-cert-file", s.CAFile(), "--tls-cert-file", s.CertFile(), "--tls-key-file", s.KeyFile(),
			"--tls-auth-clients", s.settings.clients, "--tls-replication", "yes", "--tls-cluster", "yes")
	}
	if len(s.settings.acl) > 0 {
		args = append(args, "--aclfile", s.file("users.acl"))
	}
	// What a replica says to its master.
	if s.settings.password != "" && !s.settings.sentinel {
		args = append(args, "--masterauth", s.settings.password)
	}
	if s.settings.user != "" && !s.settings.sentinel {
		args = append(args, "--masteruser", s.settings.user)
	}
	for _, d := range s.settings.directives {
		args = append(args, d...)
	}
	return args
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// Addr gives the address of its port.
func (s *Server) Addr() string { return address(s.port) }

// Socket gives the path of its unix socket.
func (s *Server) Socket() string { return s.file("socket") }

// Log gives what the server wrote to its log.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Stop ends the server in order, which closes its connections, and waits until it is gone.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server on the spot, paused or not, and waits until it is gone.
func (s *Server) Kill() { s.end(os.Kill) }

// KillHeard ends a master on the spot when its replicas have heard all that it said: what is lost is what it did in its last instant.
func (s *Server) KillHeard(replicas ...*Server) {
	s.t.Helper()
	for _, replica := range replicas {
		await(s.t, replicas, func() error { return replica.follows(s) })
	}
	s.Pause()
	for _, replica := range replicas {
		await(s.t, replicas, replica.hearsNothing)
	}
	s.Kill()
}

// Pause makes the server stand still with its connections open, as a machine that swaps does.
func (s *Server) Pause() { s.stand(true) }

// Resume ends a Pause.
func (s *Server) Resume() { s.stand(false) }

// Start starts a server that was ended, on the same port: with its data under AppendOnly, else empty.
func (s *Server) Start() {
	s.t.Helper()
	check(s.t, s.start())
}

// Restart is Stop and Start.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// Wipe removes what a server that was ended has kept under AppendOnly.
func (s *Server) Wipe() {
	s.t.Helper()
	check(s.t, os.RemoveAll(s.file("appendonlydir")))
}

func (s *Server) end(how os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	if err := s.proc.signal(how); err != nil {
		s.t.Errorf("redistest: %v", err)
		return
	}
	<-s.proc.ended
}

func (s *Server) stand(still bool) {
	s.t.Helper()
	what := resume
	if still {
		what = pause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.signal(what); err != nil {
		s.t.Errorf("redistest: %v", err)
		return
	}
	s.paused = still
}

// Runs reports whether the server was neither ended nor paused.
func (s *Server) Runs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil && !s.proc.gone() && !s.paused
}
