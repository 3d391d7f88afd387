package stack

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// Certificate writes the certificate of [httptest.NewTLSServer], which is for 127.0.0.1, and returns the settings of a
// public listener that uses it, and who trusts it.
func Certificate(tb testing.TB) (settings []string, roots *x509.CertPool) {
	tb.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	key, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	dir := tb.TempDir()
	for _, f := range []struct{ setting, name, kind, der string }{
		{"GATEWAY_TLS_CERT_FILE", "cert.pem", "CERTIFICATE", string(srv.Certificate().Raw)},
		{"GATEWAY_TLS_KEY_FILE", "key.pem", "PRIVATE KEY", string(key)},
	} {
		path := filepath.Join(dir, f.name)
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: []byte(f.der)})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			tb.Fatal(err)
		}
		settings = append(settings, f.setting+"="+path)
	}
	return settings, roots
}
