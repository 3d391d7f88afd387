package app_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/noetl/gateway/libs/testkit"
)

// counters renders the contract's counters, as "name{label=value} n", those above 0 and the
// names and labels of all.
func (w *world) counters() (lines []string, labels int) {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "noetl_ingress_") {
			continue
		}
		for _, m := range f.GetMetric() {
			labels++
			if m.GetCounter().GetValue() > 0 {
				lines = append(
					lines,
					fmt.Sprintf("%s{%s} %v", f.GetName(), pairs(m.GetLabel()), m.GetCounter().GetValue()),
				)
			}
		}
	}
	return lines, labels
}

func pairs(labels []*dto.LabelPair) string {
	var out []string
	for _, l := range labels {
		out = append(out, l.GetName()+"="+l.GetValue())
	}
	return strings.Join(out, ",")
}

// A metric's label must not be the sender's to choose: each new one costs memory forever.
func TestUnknownListenersDoNotBecomeLabels(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.send("POST", "/ingress/orders", body, "X-Signature", sign(body))
	w.send("POST", "/ingress/orders", body, "X-Signature", "00")
	w.send("POST", "/ingress/orders", strings.Repeat("x", 1025), "X-Signature", "00")
	_, before := w.counters()
	for i := range 50 {
		w.send("POST", fmt.Sprintf("/ingress/unknown-%d", i), body)
		w.send("POST", fmt.Sprintf("/ingress/unknown%%20%d", i), strings.Repeat("x", 1025))
	}
	lines, after := w.counters()
	if after != before {
		t.Errorf("%d label sets became %d", before, after)
	}
	want, err := os.ReadFile("testdata/metrics.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.Join(lines, "\n")+"\n"); diff != "" {
		t.Error(diff)
	}
}

// What an unverified delivery says about itself is not believed.
func TestNothingIsReadBeforeItIsVerified(t *testing.T) {
	t.Parallel()
	w := boot(t)
	for _, headers := range [][]string{
		{"X-Original-Url", "/ingress/hook"},
		{"X-Http-Method-Override", "PUT"},
		{"Authorization", "Bearer " + "internal-token"},
		{"X-Signature", "sha256=" + strings.Repeat("0", 64)},
		{"X-Signature", sign(body), "X-Signature", "00"},
	} {
		if code, answer := w.send("POST", "/ingress/orders", body, headers...); code != 401 {
			t.Errorf("%v: %d %s", headers, code, answer)
		}
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

// An unknown sender must not make the gateway hold a body: the listener is looked up first.
func TestABodyIsReadOnlyWhenItsListenerExists(t *testing.T) {
	t.Parallel()
	w := boot(t, "INGRESS_MAX_BODY_BYTES=10485760")
	for path, want := range map[string]string{"none": "404", "..": "404", "orders": ""} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		// The client waits to be told to send its body (RFC 9110, section 10.1.1).
		const head = "POST /ingress/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\nExpect: 100-continue\r\n\r\n"
		if _, err := fmt.Fprintf(conn, head, path); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if want == "" {
			want = "100"
		}
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q %v", path, line, err)
		}
	}
}

// Names that are made up are counted to their sender's address: it asks NoETL no more, pushes no listener out, and
// stops nobody else, nor its own deliveries to listeners that exist.
func TestMadeUpListenersStopOnlyTheirSender(t *testing.T) {
	t.Parallel()
	w := boot(t, "INGRESS_LISTENER_TTL_SECS=60", "INGRESS_FAILURE_RATE_PER_MIN=20")
	from := func(path, address string) int {
		code, _ := w.send("POST", path, body, "X-Signature", sign(body), "X-Forwarded-For", address)
		return code
	}
	if code := from("/ingress/orders", "192.0.2.1"); code != 202 {
		t.Fatal(code)
	}
	refused := 0
	for i := range 2000 {
		if from(fmt.Sprintf("/ingress/made-up-%d", i), "192.0.2.1") == 429 {
			refused++
		}
	}
	if asked := len(w.noetl.Asked()); refused < 1900 || asked > 100 {
		t.Errorf("%d refused, NoETL was asked %d times", refused, asked)
	}
	for path, address := range map[string]string{"/ingress/orders": "192.0.2.1", "/ingress/hook": "192.0.2.2"} {
		before := len(w.noetl.Asked())
		code := from(path, address)
		if asked := len(w.noetl.Asked()) - before; path == "/ingress/orders" && (code != 202 || asked != 0) {
			t.Errorf("%s: %d, asked %d times", path, code, asked)
		} else if path == "/ingress/hook" && code != 401 { // it was looked up, and the delivery is not genuine
			t.Errorf("%s: %d", path, code)
		}
	}
}

// Beyond the limit a delivery is refused with a time to come back. Only what is being received counts: whoever waits
// for an execution has been read and stored.
func TestDeliveriesAreBounded(t *testing.T) {
	t.Parallel()
	w := boot(t, "INGRESS_DELIVERIES_MAX=1", "INGRESS_LISTENER_TTL_SECS=60", "INGRESS_PATIENCE_SECS=1")
	release, entered := w.noetl.HoldExecute()
	first := make(chan string, 1)
	go func() {
		code, answer := w.send("POST", "/ingress/orders", body, "X-Signature", sign(body))
		first <- fmt.Sprint(code, answer)
	}()
	<-entered
	if code, answer := w.send("POST", "/ingress/orders", body, "X-Signature", sign(body)); code != 202 ||
		!strings.Contains(answer, "delivery_id") {
		t.Errorf("%d %s", code, answer)
	}
	if answer := <-first; !strings.HasPrefix(answer, "202") {
		t.Errorf("the first: %s", answer)
	}
	release()
	testkit.Eventually(t, "both are dispatched", func() bool { return len(w.noetl.Started()) == 2 })
}
