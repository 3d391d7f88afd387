package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is a real kube-apiserver on loopback, with etcd behind it. Nothing runs pods or follows objects: what it holds
// is what it was told.
type server struct {
	address    string // https://127.0.0.1:…
	kubeconfig func(user string) string
	client     *http.Client
	folder     string
	processes  []*exec.Cmd
}

// The users of the server. The administrator may do everything; the installer is given roles by a test.
const (
	administrator = "administrator"
	installer     = "installer"
)

// startServer starts etcd and kube-apiserver and waits until the server is ready.
func startServer(etcd, apiserver, folder string) (*server, error) {
	s := &server{folder: folder}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	s.address = "https://127.0.0.1:" + ports[2]
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"tokens.csv": []byte("administrator,administrator,1,system:masters\ninstaller,installer,2\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	at := func(name string) string { return filepath.Join(folder, name) }
	if err := s.launch(etcd, "--data-dir="+at("etcd"), "--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--unsafe-no-fsync", "--log-level=error"); err != nil {
		return s, err
	}
	if err := s.launch(apiserver, "--etcd-servers="+client, "--bind-address=127.0.0.1", "--secure-port="+ports[2],
		"--cert-dir="+at("certificates"), "--token-auth-file="+at("tokens.csv"), "--authorization-mode=RBAC",
		"--anonymous-auth=false", "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+at("sa.key"),
		"--service-account-signing-key-file="+at("sa.key"), "--endpoint-reconciler-type=none"); err != nil {
		return s, err
	}
	deadline := time.Now().Add(2 * time.Minute)
	for ; time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = s.trust(); err == nil {
			var body []byte
			if body, err = s.get("/readyz"); err == nil && string(body) == "ok" {
				return s, nil
			}
		}
	}
	log, _ := os.ReadFile(at("kube-apiserver.log"))
	return s, fmt.Errorf("kube-apiserver is not ready: %w\n%s", err, log[max(0, len(log)-4000):])
}

// launch starts a program that writes to a log of its own and dies with this one.
func (s *server) launch(program string, args ...string) error {
	log, err := os.Create(filepath.Join(s.folder, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.processes = append(s.processes, cmd)
	return log.Close()
}

func (s *server) stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		_ = s.processes[i].Process.Kill()
		_ = s.processes[i].Wait()
	}
}

// trust makes the client, and the kubeconfig of each user, for the certificate that the server has made for itself.
func (s *server) trust() error {
	path := filepath.Join(s.folder, "certificates", "apiserver.crt")
	certificate, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return errors.New(path + " is no certificate")
	}
	s.client = &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}},
	}
	files := map[string]string{}
	for _, user := range []string{administrator, installer} {
		files[user] = filepath.Join(s.folder, user+".kubeconfig")
		text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: %s, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: %s}}]
current-context: test
`, s.address, path, user, user, user)
		if err := os.WriteFile(files[user], []byte(text), 0o600); err != nil {
			return err
		}
	}
	s.kubeconfig = func(user string) string { return files[user] }
	return nil
}

// reply is what the server says to a request.
type reply struct {
	code     int
	object   object
	warnings []string
}

// problem is why a request was refused, or "".
func (a reply) problem() string {
	if a.code/100 == 2 {
		return ""
	}
	return fmt.Sprintf("%d %s", a.code, text(a.object, "message"))
}

// ask sends a request with a bearer token and reads JSON.
func (s *server) ask(token, method, path, contentType string, body any) (reply, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return reply{}, err
		}
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.address+path, bytes.NewReader(raw))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	resp, err := s.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	a := reply{code: resp.StatusCode, warnings: resp.Header.Values("Warning")}
	if raw, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	return a, json.Unmarshal(raw, &a.object)
}

func (s *server) get(path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.address+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+administrator)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// plurals are the kinds whose path does not end in an s.
var plurals = map[string]string{
	"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "PriorityClass": "priorityclasses",
}

// path is where an object is, and where objects of its kind are.
func pathOf(o object, namespace string) (collection, item string) {
	version, kind := text(o, "apiVersion"), text(o, "kind")
	plural, ok := plurals[kind]
	if !ok {
		plural = strings.ToLower(kind) + "s"
	}
	collection = "/apis/" + version
	if !strings.Contains(version, "/") {
		collection = "/api/" + version
	}
	switch kind {
	case "Namespace", "CustomResourceDefinition", "PriorityClass":
	default:
		collection += "/namespaces/" + namespace
	}
	collection += "/" + plural
	return collection, collection + "/" + text(o, "metadata", "name")
}

// create creates an object as a user.
func (s *server) create(token, namespace string, o object, query string) (reply, error) {
	collection, _ := pathOf(o, namespace)
	return s.ask(token, http.MethodPost, collection+"?fieldValidation=Strict"+query, "application/json", o)
}

// apply is server-side apply, which is what kubectl apply --server-side sends.
func (s *server) apply(namespace string, o object, query string) (reply, error) {
	_, item := pathOf(o, namespace)
	return s.ask(administrator, http.MethodPatch, item+"?fieldManager=test&force=true&fieldValidation=Strict"+query,
		"application/apply-patch+yaml", o)
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().String()[len("127.0.0.1:"):])
	}
	return ports, nil
}
