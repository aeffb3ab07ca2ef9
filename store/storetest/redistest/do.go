package redistest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
)

// doLimit means: how long one command of a test may take on a loaded machine, connecting included.
const doLimit = 30 * time.Second

// Do sends one command over the unix socket, on a connection of its own, so that nothing is retried or kept. It gives
// a string, an int, a []any or nil, and an error reply as an error.
func (s *Server) Do(args ...string) (any, error) {
	conn, err := s.dial(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(doLimit)); err != nil {
		return nil, err
	}
	c := proto.NewClient(conn)
	if s.settings.password != "" {
		auth := []string{"AUTH", s.settings.password}
		if s.settings.user != "" {
			auth = []string{"AUTH", s.settings.user, s.settings.password}
		}
		if _, err := reply(c.Do(auth...)); err != nil {
			return nil, err
		}
	}
	return reply(c.Do(args...))
}

// dial connects to the unix socket. A node tells of the others' ports for the kind of connection that it is asked on, so that one with TLS
// is asked over TLS.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	dial := net.Dialer{Timeout: doLimit}
	if s.settings.bus && s.trust != nil {
		return (&tls.Dialer{NetDialer: &dial, Config: s.trust}).DialContext(ctx, "tcp", s.Addr())
	}
	return dial.DialContext(ctx, "unix", s.Socket())
}

// Must is Do that fails the test on an error, and gives the reply as text.
func (s *Server) Must(args ...string) string {
	s.t.Helper()
	got, err := s.Do(args...)
	if err != nil {
		check(s.t, fmt.Errorf("%s: %w", strings.Join(args, " "), err))
	}
	if got == nil {
		return ""
	}
	return fmt.Sprint(got)
}

// Info gives a field of INFO, empty when there is none such.
func (s *Server) Info(field string) string {
	s.t.Helper()
	return fieldOf(s.Must("INFO", "everything"), field)
}

func fieldOf(info, field string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// reply reads what Do gives raw.
func reply(raw string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(raw, "$-1") || strings.HasPrefix(raw, "*-1") {
		return nil, nil
	}
	got, err := proto.Parse(raw)
	if err != nil {
		return nil, err
	}
	if said, isError := got.(error); isError {
		return nil, said
	}
	return got, nil
}
