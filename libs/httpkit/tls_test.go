package httpkit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/testkit"
)

// writePair writes a self-signed certificate for a name.
func writePair(t *testing.T, c httpkit.TLSConfig, name string, stamp time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(stamp.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().
			Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{c.CertFile: {Type: "CERTIFICATE", Bytes: der}, c.KeyFile: {
		Type: "PRIVATE KEY", Bytes: pkcs8,
	}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTLSWithHTTP2AndACertificateThatChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := httpkit.TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	first := writePair(t, files, "first", time.Now().Add(-time.Minute))
	cfg, err := files.Load(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "X")
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	beside, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "X")
	if err != nil {
		t.Fatal(err)
	}
	for _, ln := range []net.Listener{ln, beside} { // of one process: the race detector sees what they share
		srv := httpkit.NewServer("t", ln, h, slog.New(slog.DiscardHandler), nil).WithTLS(cfg)
		go func() { _ = srv.Run(t.Context()) }()
	}
	ask := func(roots ...*x509.Certificate) (proto, name string, err error) {
		pool := x509.NewCertPool()
		for _, c := range roots {
			pool.AddCert(c)
		}
		client := &http.Client{
			Transport: &http.Transport{
				ForceAttemptHTTP2: true,
				TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			},
		}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, httpkit.SecureURL(ln), nil)
		if err != nil {
			return "", "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return string(b), resp.TLS.PeerCertificates[0].Subject.CommonName, err
	}
	if proto, name, err := ask(first); err != nil || proto != "HTTP/2.0" || name != "first" {
		t.Fatalf("%s %s %v", proto, name, err)
	}
	// A renewal that is halfway: the old one still serves.
	if err := os.WriteFile(files.KeyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-time.After(1100 * time.Millisecond)
	if _, name, err := ask(first); err != nil || name != "first" {
		t.Fatalf("halfway: %s %v", name, err)
	}
	second := writePair(t, files, "second", time.Now())
	testkit.Eventually(t, "the new certificate is served", func() bool {
		_, name, err := ask(first, second)
		return err == nil && name == "second"
	})
}

func TestTLSSettings(t *testing.T) {
	t.Parallel()
	if cfg, err := (httpkit.TLSConfig{}).Load(slog.Default()); cfg != nil || err != nil {
		t.Error("no settings, and yet TLS", err)
	}
	if err := (httpkit.TLSConfig{CertFile: "x"}).Validate(); err == nil {
		t.Error("half of a pair was accepted")
	}
	if _, err := (httpkit.TLSConfig{CertFile: "none", KeyFile: "none"}).Load(slog.Default()); err == nil {
		t.Error("missing files were accepted")
	}
}
