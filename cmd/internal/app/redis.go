package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"usher.internal/cmd/internal/config"
	"usher.internal/store/redisstore"
)

// Secrets are passwords; a blank one is read from the file that the configuration names.
type Secrets struct {
	Redis    string
	Sentinel string
}

// redisServer gives the server that the configuration names, with what its files hold.
func redisServer(r *config.Redis, secrets Secrets) (redisstore.Server, error) {
	addresses, err := r.Addresses()
	if err != nil {
		return redisstore.Server{}, err
	}
	server := redisstore.Server{
		Addresses: addresses, Master: r.Master, Cluster: r.Mode == config.ModeCluster,
		User: r.User, Password: secrets.Redis, SentinelUser: r.SentinelUser, SentinelPassword: secrets.Sentinel, Database: r.Database,
	}
	if server.Password == "" {
		if server.Password, err = password("redis.password_file", r.PasswordFile); err != nil {
			return server, err
		}
	}
	if server.SentinelPassword == "" {
		if server.SentinelPassword, err = password("redis.sentinel_password_file", r.SentinelPasswordFile); err != nil {
			return server, err
		}
	}
	if r.Encrypted() {
		server.TLS, err = redisTLS(&r.TLS)
	}
	return server, err
}

// password reads a file's one line; without a file it is blank.
func password(field, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s: %s must hold one line, the password", field, path)
	}
	return text, nil
}

func redisTLS(t *config.RedisTLS) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis.tls.ca_file: there is no certificate in %s", t.CAFile)
		}
	}
	if t.CertFile != "" {
		own, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.cert_file and key_file: %w", err)
		}
		out.Certificates = []tls.Certificate{own}
	}
	return out, nil
}
