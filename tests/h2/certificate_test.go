// Package h2_test holds the public TLS listener against h2spec and against Go's own server, and
// uses it over HTTP/2.
package h2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair is a self-signed certificate for 127.0.0.1 and its key, in files.
type pair struct {
	certFile, keyFile string
}

// settings are those of the gateway's TLS listener.
func (p pair) settings() []string {
	return []string{"GATEWAY_TLS_CERT_FILE=" + p.certFile, "GATEWAY_TLS_KEY_FILE=" + p.keyFile}
}

// newPair makes files of its own.
func newPair(t *testing.T) pair {
	t.Helper()
	dir := t.TempDir()
	return pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// renewed is a new certificate that is not in the files yet.
type renewed struct {
	pair

	cert, key []byte
	roots     *x509.CertPool // trusts it, and nothing else
}

// renew makes a certificate with that serial number.
func (p pair) renew(t *testing.T, serial int64) renewed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "gateway"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	r := renewed{
		pair: p, roots: x509.NewCertPool(),
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
	if !r.roots.AppendCertsFromPEM(r.cert) {
		t.Fatal("the certificate cannot be read")
	}
	return r
}

func (r renewed) writeCert(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(r.certFile, r.cert, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r renewed) writeKey(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(r.keyFile, r.key, 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue makes files with a first certificate.
func issue(t *testing.T) renewed {
	t.Helper()
	r := newPair(t).renew(t, 1)
	r.writeCert(t)
	r.writeKey(t)
	return r
}
