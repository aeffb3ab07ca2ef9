package redistest

import "crypto/tls"

// settings are what a server is started with.
type settings struct {
	directives     [][]string
	user, password string // of the test's own connection
	acl            []string
	authority      *authority // of its certificate, nil without TLS
	clients        string     // whether clients have to show a certificate, as redis.conf has it
	bus            bool       // a port for the other nodes of a cluster
	sentinel       bool
	watchers       []Option // of the Sentinels
}

// Option changes how a server is started.
type Option func(*settings)

// All is all of some options.
func All(options ...Option) Option {
	return func(s *settings) {
		for _, o := range options {
			o(s)
		}
	}
}

// With sets a directive of redis.conf, with its arguments.
func With(directive string, args ...string) Option {
	return func(s *settings) {
		s.directives = append(s.directives, append([]string{"--" + directive}, args...))
	}
}

// AppendOnly keeps the data over Stop, Kill and Start; each write is on the disk before its answer.
func AppendOnly() Option {
	return func(s *settings) {
		With("appendonly", "yes")(s)
		With("appendfsync", "always")(s)
	}
}

// MaxMemory bounds the data, for instance "3mb", and says what is done about it, for instance "noeviction".
func MaxMemory(bytes, policy string) Option {
	return func(s *settings) {
		With("maxmemory", bytes)(s)
		With("maxmemory-policy", policy)(s)
	}
}

// Password asks clients for a password, as the default user.
func Password(password string) Option {
	return func(s *settings) {
		With("requirepass", password)(s)
		s.password = password
	}
}

// Users reads lines of an ACL file, for instance "user usher on >secret ~* &* +@all". The default user stays as it is
// unless a line is about it; the test's own connection is a user of its own.
func Users(lines ...string) Option {
	return func(s *settings) {
		s.acl = append(s.acl, lines...)
		s.user, s.password = "redistest", "redistest"
	}
}

// TLS makes the port take TLS only, the one for other nodes and what goes between servers too; the unix socket stays plain. TLSConfig and
// CAFile say whom to trust. Servers that are started with one such option have one authority.
func TLS() Option {
	a := &authority{}
	return func(s *settings) { s.authority, s.clients = a, "no" }
}

// MutualTLS is TLS for clients that show a certificate of the same authority, as CertFile and KeyFile are.
func MutualTLS() Option {
	a := &authority{}
	return func(s *settings) { s.authority, s.clients = a, "yes" }
}

// Sentinels are options for the Sentinels alone: Password and Users. Without any they ask for nothing.
func Sentinels(options ...Option) Option {
	return func(s *settings) { s.watchers = append(s.watchers, options...) }
}

// TLSConfig gives what a client needs to trust the server and be trusted, nil when it speaks plainly.
func (s *Server) TLSConfig() *tls.Config {
	if s.trust == nil {
		return nil
	}
	return s.trust.Clone()
}

// CAFile gives the file with the certificate to trust.
func (s *Server) CAFile() string { return s.file("ca.pem") }

// CertFile gives the file with a certificate that the server trusts, its own.
func (s *Server) CertFile() string { return s.file("server.pem") }

// KeyFile gives the file with that certificate's key.
func (s *Server) KeyFile() string { return s.file("server.key") }
