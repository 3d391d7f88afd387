// Package firestoretest runs Google's Firestore emulator for a test and writes into it through its REST API, without
// any library of Google's.
package firestoretest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// Project is the project that tests use.
const Project = "noetl-test"

// Emulator is a running emulator with an empty database.
type Emulator struct {
	Host string // host:port, for FIRESTORE_EMULATOR_HOST

	words *words
}

// Jar returns the emulator's path: FIRESTORE_EMULATOR_JAR, or where Google's SDK has it; "" if this machine has none.
func Jar() string {
	if jar := os.Getenv("FIRESTORE_EMULATOR_JAR"); jar != "" {
		return jar
	}
	roots := []string{os.Getenv("CLOUDSDK_ROOT"), "/usr/lib/google-cloud-sdk"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, "google-cloud-sdk"))
	}
	for _, root := range roots {
		if root == "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(root, "platform", "*", "cloud-firestore-emulator.jar"))
		if err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// Start starts an emulator that ends with the test. It skips the test, and says so, where there is none.
func Start(tb testing.TB) *Emulator {
	tb.Helper()
	jar := Jar()
	if jar == "" {
		tb.Skip("SKIPPED Firestore emulator: FIRESTORE_EMULATOR_JAR is not set, and Google's SDK was not found")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		tb.Skip("SKIPPED Firestore emulator: no java on this machine")
	}
	port := freePort(tb)
	e := &Emulator{Host: fmt.Sprintf("127.0.0.1:%d", port), words: &words{}}
	//nolint:noctx // its life is the test's; see the cleanup
	cmd := exec.Command(
		java, "-Xmx256m", "-cp", jar, "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
		"--host=127.0.0.1", fmt.Sprintf("--port=%d", port),
	)
	cmd.Stdout, cmd.Stderr, cmd.Dir = e.words, e.words, tb.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not even a crashed test leaves it behind
	testkit.Must(tb, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if tb.Failed() {
			tb.Logf("---- Firestore emulator\n%s", e.words)
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !e.answers(tb) {
		select {
		case <-ended:
			tb.Fatalf("the emulator ended\n%s", e.words)
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the emulator was not ready within 30 s\n%s", e.words)
		}
	}
	return e
}

func freePort(tb testing.TB) int {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(tb, err)
	defer func() { _ = ln.Close() }()
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatal("no TCP address")
	}
	return addr.Port
}

func (e *Emulator) answers(tb testing.TB) bool {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Host+"/", nil)
	testkit.Must(tb, err)
	resp, err := testkit.Client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Environment is what a listener needs to find the emulator.
func (e *Emulator) Environment() []string {
	return []string{"FIRESTORE_EMULATOR_HOST=" + e.Host, "GATEWAY_FIRESTORE_PROJECT_ID=" + Project}
}

// Put writes a document, which is a JSON object.
func (e *Emulator) Put(tb testing.TB, path, doc, data string) {
	tb.Helper()
	in := json.NewDecoder(strings.NewReader(data))
	in.UseNumber()
	var fields map[string]any
	testkit.Must(tb, in.Decode(&fields))
	typed := map[string]any{}
	for name, value := range fields {
		typed[name] = Value(value)
	}
	e.PutFields(tb, path, doc, typed)
}

// PutFields writes a document of fields as the REST API has them: {"integerValue": "1"}.
func (e *Emulator) PutFields(tb testing.TB, path, doc string, fields map[string]any) {
	tb.Helper()
	body, err := json.Marshal(map[string]any{"fields": fields})
	testkit.Must(tb, err)
	e.send(tb, http.MethodPatch, path, doc, body)
}

// Delete removes a document.
func (e *Emulator) Delete(tb testing.TB, path, doc string) {
	tb.Helper()
	e.send(tb, http.MethodDelete, path, doc, nil)
}

// Documents returns the fields of the documents of a collection, 300 of them at most, as the REST API has them.
func (e *Emulator) Documents(tb testing.TB, path string) map[string]json.RawMessage {
	tb.Helper()
	answer := e.send(tb, http.MethodGet, path, "", nil)
	var list struct {
		Documents []struct {
			Name   string
			Fields json.RawMessage
		}
	}
	testkit.Must(tb, json.Unmarshal(answer, &list))
	out := map[string]json.RawMessage{}
	for _, d := range list.Documents {
		out[d.Name[strings.LastIndexByte(d.Name, '/')+1:]] = d.Fields
	}
	return out
}

func (e *Emulator) send(tb testing.TB, method, path, doc string, body []byte) []byte {
	tb.Helper()
	address := "http://" + e.Host + "/v1/projects/" + Project + "/databases/(default)/documents"
	segments := strings.Split(path, "/")
	if doc != "" {
		segments = append(segments, doc)
	}
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	address += "/" + strings.Join(segments, "/")
	if doc == "" {
		address += "?pageSize=300"
	}
	var status int
	var answer []byte
	for range cancelledTries {
		if status, answer = e.ask(tb, method, address, body); status != clientClosed {
			break
		}
	}
	if status != http.StatusOK {
		tb.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
	return answer
}

// The emulator ends a write with clientClosed when a listener's stream breaks while it tells it of the write, as
// happens when a test kills a listener. The writes here may be repeated.
const (
	clientClosed   = 499
	cancelledTries = 5
)

func (e *Emulator) ask(tb testing.TB, method, address string, body []byte) (status int, answer []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, address, bytes.NewReader(body))
	testkit.Must(tb, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer owner") // the emulator's way to pass over its security rules
	resp, err := testkit.Client.Do(req)
	testkit.Must(tb, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	testkit.Must(tb, err)
	return resp.StatusCode, answer
}

// Value writes a value of JSON as the REST API has it. Numbers are json.Number.
func Value(value any) map[string]any {
	switch v := value.(type) {
	case nil:
		return map[string]any{"nullValue": nil}
	case bool:
		return map[string]any{"booleanValue": v}
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return map[string]any{"integerValue": v.String()}
		}
		return map[string]any{"doubleValue": v}
	case []any:
		list := []any{}
		for _, each := range v {
			list = append(list, Value(each))
		}
		return map[string]any{"arrayValue": map[string]any{"values": list}}
	case map[string]any:
		fields := map[string]any{}
		for name, each := range v {
			fields[name] = Value(each)
		}
		return map[string]any{"mapValue": map[string]any{"fields": fields}}
	default:
		return map[string]any{"stringValue": fmt.Sprint(v)}
	}
}

// words is what the emulator says, the end of it.
type words struct {
	mu  sync.Mutex
	buf []byte
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if most := 64 << 10; len(w.buf) > most {
		w.buf = w.buf[len(w.buf)-most:]
	}
	return len(p), nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}
