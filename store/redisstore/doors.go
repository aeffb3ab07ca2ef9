package redisstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	// hungUp is what is told of a server that ended the connection without an answer, as one does that wants TLS.
	hungUp = "it hung up; does it want TLS?"
	// noneGiven is what is told in place of advice for programmers.
	noneGiven = "NOAUTH: it wants a password, and none is given"
)

// helloUnknown is what a proxy says that is good for RESP2 all the same.
var helloUnknown = regexp.MustCompile(`unknown command .?HELLO`)

// doors tells of servers that do not let this replica in: a call's error has no address, and behind Sentinels and in a Cluster one server may
// refuse while others do not.
type doors struct {
	logger  *slog.Logger
	secrets []string

	// mu guards what follows.
	mu sync.Mutex
	// shut is why, by address, so that each reason is told once.
	shut map[string]string
}

func newDoors(logger *slog.Logger, server *Server) *doors {
	return &doors{logger: logger, secrets: []string{server.Password, server.SentinelPassword}, shut: map[string]string{}}
}

// refused tells why a server does not let this replica in, unless that is what it told last.
func (d *doors) refused(address, why string) {
	why = d.hide(why)
	d.mu.Lock()
	known := d.shut[address] == why
	d.shut[address] = why
	d.mu.Unlock()
	if !known {
		d.logger.Warn("redis does not let this replica in", "address", address, "error", why)
	}
}

// opened forgets why a server refused.
func (d *doors) opened(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.shut, address)
}

// hide takes passwords out of what a server said: one that does not know AUTH repeats what came with it.
func (d *doors) hide(text string) string {
	for _, secret := range d.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// hideIn is hide for an error, which stays what it is but for its text.
func (d *doors) hideIn(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if hidden := d.hide(text); hidden != text {
		return &hiddenError{error: err, text: hidden}
	}
	return err
}

// hiddenError is an error without the passwords in its text.
type hiddenError struct {
	error
	text string
}

// Error gives the text.
func (e *hiddenError) Error() string { return e.text }

// Unwrap gives the error as it was.
func (e *hiddenError) Unwrap() error { return e.error }

// mistrusts tells that the one side does not trust the other, or does not speak TLS.
func mistrusts(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) && alert.Op == "remote error"
}

// link is a connection that ends with the store, so that nobody who closes that waits for a server that does not answer.
type link struct {
	net.Conn
	closed func() bool // lets the store forget it
	doors  *doors
	life   context.Context
	to     string
	plain  bool
	// introduced says that the greeting was sent: a client that has no time left for it asks for a PONG before it hangs up.
	introduced atomic.Bool
	// spoke and greeted say that something was written, and read. Who writes or reads does so alone.
	spoke, greeted bool
}

// Close ends the connection.
func (l *link) Close() error {
	l.closed()
	return l.Conn.Close()
}

// Write looks if the greeting is what comes first.
func (l *link) Write(p []byte) (int, error) {
	if !l.spoke {
		l.spoke = true
		l.introduced.Store(bytes.Contains(p, []byte("HELLO")))
	}
	return l.Conn.Write(p)
}

// Read listens to the answer to the greeting.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if !l.greeted && (n > 0 || err != nil) {
		l.greeted = true
		l.greet(p[:n], err)
	}
	return n, err
}

// greet reads the replies to AUTH and to what goes with it, which come together.
func (l *link) greet(replies []byte, err error) {
	switch {
	case l.life.Err() != nil:
	case len(replies) == 0 && mistrusts(err): // a certificate that is not there is missed after the handshake
		l.doors.refused(l.to, err.Error())
	case !l.introduced.Load():
	case len(replies) == 0 && l.plain && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		l.doors.refused(l.to, hungUp)
	case len(replies) == 0:
	default:
		for line := range bytes.Lines(replies) {
			if line[0] == '-' && !helloUnknown.Match(line) {
				why := string(bytes.TrimSpace(line[1:]))
				if strings.HasPrefix(why, "NOAUTH") {
					why = noneGiven
				}
				l.doors.refused(l.to, why)
				return
			}
		}
		l.doors.opened(l.to)
	}
}

// connect makes a connection that ends with life, for one who waits for it as long as asked.
func (d *doors) connect(life, asked context.Context, network, address string, dialer *net.Dialer, encrypt *tls.Config) (net.Conn, error) {
	asked, cancel := context.WithCancel(asked)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	dial := dialer.DialContext
	if encrypt != nil {
		dial = (&tls.Dialer{NetDialer: dialer, Config: encrypt}).DialContext
	}
	conn, err := dial(asked, network, address)
	if mistrusts(err) {
		d.refused(address, err.Error())
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	if err != nil {
		return nil, err
	}
	return &link{
		Conn: conn, closed: context.AfterFunc(life, func() { _ = conn.Close() }), doors: d, life: life, to: address, plain: encrypt == nil,
	}, nil
}
