package redistest

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

// authority signs the certificates of the servers that share an option.
type authority struct {
	once sync.Once
	err  error
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pem  []byte
}

// begin draws the authority's key, once. Ed25519 draws its own randomness when given none, and signs without any.
func (a *authority) begin() error {
	a.once.Do(func() {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			a.err = err
			return
		}
		now := time.Now()
		a.key = private
		a.cert = &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redistest CA"},
			NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(nil, a.cert, a.cert, public, private)
		a.pem, a.err = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
	})
	return a.err
}

// certify writes ca.pem, server.pem and server.key for the loopback, and gives what a client shows and trusts. A server is a client
// of the others, and the certificate is good for both.
func (a *authority) certify(file func(string) string) (*tls.Config, error) {
	if err := a.begin(); err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.ParseIP(host)},
	}
	der, err := x509.CreateCertificate(nil, leaf, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{
		RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
	}
	trust.RootCAs.AppendCertsFromPEM(a.pem)
	return trust, errors.Join(
		os.WriteFile(file("ca.pem"), a.pem, 0o600),
		os.WriteFile(file("server.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(file("server.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	)
}
