package redisstore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/storetest/redistest"
)

// The passwords that docs/operations.md leaves to be replaced, and that no log line may have.
const (
	serverSecret   = "PASSWORD"
	sentinelSecret = "WATCHWORD"
)

// secure are the options of servers that take TLS with certificates on both sides, and nobody but the user of docs/operations.md.
func secure(t *testing.T) redistest.Option {
	t.Helper()
	encrypted, users := redistest.MutualTLS(), redistest.Users(aclRule(t, "secured"), "user default off")
	watchers := redistest.Sentinels(redistest.Users(watchRule(t), "user default off"))
	return redistest.All(encrypted, users, watchers)
}

// TestSecured: over TLS and as the users of docs/operations.md, replicas hear each other, and go over to another master.
func TestSecured(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		cluster := redistest.NewCluster(t, secure(t))
		server := admitted(cluster.Nodes()[0], cluster.Addrs())
		server.Cluster = true
		goesOver(t, server, cluster.Nodes(), func() {
			master := cluster.MasterOf("usher:{secured}:")
			master.KillHeard(cluster.Replicas(master)...)
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		sentinel := redistest.NewSentinel(t, secure(t))
		server := admitted(sentinel.Servers()[0], sentinel.Addrs())
		server.Master, server.SentinelUser, server.SentinelPassword = redistest.MasterName, "usher-watch", sentinelSecret
		goesOver(t, server, append(sentinel.Servers(), sentinel.Sentinels()...), func() {
			master := sentinel.Master()
			master.KillHeard(sentinel.Replicas(master)...)
		})
		refused(t, server, sentinel)
	})
}

// admitted is what lets one in.
func admitted(node *redistest.Server, addresses []string) Server {
	return Server{Addresses: addresses, User: "usher", Password: serverSecret, TLS: node.TLSConfig()}
}

// goesOver has two replicas on a server whose master goes.
func goesOver(t *testing.T, server Server, all []*redistest.Server, fail func()) {
	options := Options{Server: server, Namespace: "secured", Budget: 20 * time.Second}
	a, b := open(t, options), open(t, options)
	for _, s := range []*Store{a, b} {
		must(t, s.Register(t.Context(), worldRoster()))
	}
	grant(t, a, core.LeaseID{1})
	hears(t, a, b)
	if faults, err := a.Faults(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("faults %v, %v", faults, err)
	}
	allowed(t, all)
	fail()
	until(t, "both have gone over", func() bool { return a.beat(t.Context()) == nil && b.beat(t.Context()) == nil })
	hears(t, a, b)
	if got := usedBy(t, b)[0]; got != 1 {
		t.Errorf("%d are in use at the new master", got)
	}
	allowed(t, all)
}

// hears wants one to hear what another tells, however often that takes while a connection is made anew.
func hears(t *testing.T, one, another *Store) {
	t.Helper()
	signals, err := one.Signals(t.Context())
	must(t, err)
	cooled := 0
	until(t, "a signal is heard", func() bool {
		cooled++
		_, _ = another.Cool(t.Context(), core.Cooldown{Account: "c", Until: time.Now().Add(time.Duration(cooled) * time.Hour)})
		select {
		case s := <-signals:
			return s.Account == "c"
		default:
			return false
		}
	})
}

// allowed wants no server to have forbidden anything to the users of docs/operations.md; Sentinels try others before they are told theirs.
func allowed(t *testing.T, servers []*redistest.Server) {
	t.Helper()
	for _, s := range servers {
		if !s.Runs() {
			continue
		}
		if denied := s.Must("ACL", "LOG"); strings.Contains(denied, "username usher") {
			t.Errorf("docs/operations.md forbids what the store does: %s", denied)
		}
	}
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes a line.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// refused wants the log to say which server does not let a replica in, and why, and to keep passwords for itself.
func refused(t *testing.T, server Server, sentinel *redistest.Sentinel) {
	master, watcher := sentinel.Master().Addr(), sentinel.Addrs()[0]
	for name, c := range map[string]struct {
		change  func(*Server)
		at, why string
	}{
		"wrong password":          {func(s *Server) { s.Password = sentinelSecret }, master, "WRONGPASS"},
		"no password":             {func(s *Server) { s.User, s.Password = "", "" }, master, "NOAUTH: it wants a password"},
		"wrong Sentinel password": {func(s *Server) { s.SentinelPassword = serverSecret }, watcher, "WRONGPASS"},
		"no Sentinel password":    {func(s *Server) { s.SentinelUser, s.SentinelPassword = "", "" }, watcher, "NOAUTH: it wants a password"},
		"wrong authority":         {func(s *Server) { s.TLS.RootCAs = x509.NewCertPool() }, watcher, "unknown authority"},
		"wrong name":              {func(s *Server) { s.TLS.ServerName = "elsewhere" }, watcher, "valid for localhost, not elsewhere"},
		"expired":                 {func(s *Server) { s.TLS.Time = func() time.Time { return time.Now().Add(48 * time.Hour) } }, watcher, "has expired"},
		"no certificate":          {func(s *Server) { s.TLS.Certificates = nil }, watcher, "certificate required"},
		"no TLS":                  {func(s *Server) { s.TLS = nil }, watcher, "does it want TLS?"},
	} {
		changed := server
		changed.TLS = server.TLS.Clone()
		c.change(&changed)
		book := &lines{}
		s, err := New(Options{Server: changed, Namespace: "secured", Logger: slog.New(slog.NewTextHandler(book, nil))})
		must(t, err)
		until(t, name+" is told", func() bool {
			for line := range strings.Lines(book.String()) {
				if strings.Contains(line, "address="+c.at) && strings.Contains(line, c.why) {
					return true
				}
			}
			return false
		})
		must(t, s.Close())
		if text := book.String(); strings.Contains(text, serverSecret) || strings.Contains(text, sentinelSecret) {
			t.Errorf("%s: the log has a password:\n%s", name, text)
		}
	}
}

// TestDoorsTellOnce: the same reason is told once, until the server has let somebody in.
func TestDoorsTellOnce(t *testing.T) {
	book := &lines{}
	d := newDoors(slog.New(slog.NewTextHandler(book, nil)), &Server{Password: serverSecret})
	l := &link{doors: d, life: t.Context(), to: "there"}
	l.greet([]byte("-NOAUTH Authentication required.\r\n"), nil) // to a PING of one who did not come to say who it is
	l.introduced.Store(true)
	for _, replies := range []string{
		"-WRONGPASS no\r\n", "-WRONGPASS no\r\n-NOAUTH\r\n", // once
		"-ERR unknown command 'AUTH', with args beginning with: 'PASSWORD'\r\n", // hidden
		"+OK\r\n-NOPERM client|setname\r\n",
		"-NOAUTH HELLO must\r\n", "+OK\r\n-NOAUTH Authentication required.\r\n",
		"-ERR unknown command 'HELLO'\r\n+OK\r\n", // good enough
		"-WRONGPASS no\r\n",                       // again
	} {
		l.greet([]byte(replies), nil)
	}
	l.greet(nil, &net.OpError{Op: "remote error", Err: tls.AlertError(42)})
	var told []string
	for line := range strings.Lines(book.String()) {
		_, why, _ := strings.Cut(line, "error=")
		told = append(told, strings.Trim(why, "\"\n"))
	}
	want := "WRONGPASS no|ERR unknown command 'AUTH', with args beginning with: '***'|NOPERM client|setname|NOAUTH: it wants a password, and none is given|WRONGPASS no|remote error: tls: bad certificate"
	if got := strings.Join(told, "|"); got != want {
		t.Errorf("told\n%s, want\n%s", got, want)
	}
}
