package e2e_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

const operatorSecret = "a-secret-of-the-operators"

// book keeps what was typed and printed.
type book struct {
	operators
	text strings.Builder
}

// enter runs a verb and writes it down.
func (b *book) enter(args ...string) string {
	out, errs, code := b.run(args...)
	b.text.WriteString("$ noetl-gateway " + strings.Join(args, " ") + "\n" + out + errs)
	if code != 0 {
		b.text.WriteString("ends with " + string(rune('0'+code)) + "\n")
	}
	b.text.WriteString("\n")
	return out
}

// What operators type does what it says, on a running gateway; the golden file is what they see.
func TestOperatorsVerbs(t *testing.T) {
	t.Parallel()
	verify := "{type: bearer, secret: {value: " + operatorSecret + "}}"
	b := &book{operators: newOperators(t, stack.FreePort(t), map[string]string{
		"good.yaml": listener("good", "demo/webhook", verify), "lost.yaml": listener("lost", "demo/none", verify),
		"hub.yaml": listener("hub", "demo/webhook", "{type: github, secret: {value: "+operatorSecret+"}}"),
	})}
	deliver := func(name, id, state string) string {
		t.Helper()
		a := b.bearer(name, operatorSecret, id, `{"n":1}`)
		if a.Code != http.StatusAccepted {
			t.Fatalf("%s: %d %s", name, a.Code, a.Body)
		}
		return b.idOf(id, state)
	}
	dispatched, dead := deliver("good", "g1", "dispatched"), deliver("lost", "l1", "dead")
	if a := b.bearer("good", "wrong", "g2", `{}`); a.Code != http.StatusUnauthorized {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	b.idOf("good", "rejected")
	for _, line := range []string{
		"deliveries list --state dead", "deliveries list --state rejected", "deliveries list --q g1 --json",
		"deliveries list --limit 1 --listener good", "deliveries show " + dead, "deliveries show --json " + dispatched,
		"deliveries redrive " + dispatched, "deliveries redrive nothing", "deliveries list --state odd",
		"listeners list", "listeners show lost", "listeners show lost --json", "listeners show nothing",
		"listeners pause good", "listeners pause nothing", "listeners show good", "listeners validate " + b.folder,
	} {
		b.enter(strings.Fields(line)...)
	}
	waiting := deliver("good", "g3", "waiting")
	testkit.Eventually(t, "it has waited for a second", func() bool {
		return strings.Contains(b.must("listeners", "show", "good"), "oldest         1s")
	})
	for _, line := range []string{
		"deliveries list --state waiting", "deliveries discard " + waiting, "deliveries discard --json " + waiting,
		"listeners resume --json good",
	} {
		b.enter(strings.Fields(line)...)
	}
	b.write("lost.yaml", listener("lost", "demo/webhook", verify)) // its operator corrects it
	testkit.Eventually(t, "the correction counts", func() bool {
		return strings.Contains(b.must("listeners", "show", "lost"), "demo/webhook")
	})
	b.enter("deliveries", "redrive", dead, "--config", "original")
	testkit.Eventually(t, "it is dead again", func() bool {
		return strings.Count(b.api(http.MethodGet, "deliveries/"+dead, nil).Body, `"code":"noetl_404"`) == 2
	})
	b.becomes(dead, "dead")
	b.enter("deliveries", "redrive", "--json", dead, "--config", "current")
	b.becomes(dead, "dispatched")
	b.enter("deliveries", "redrive", waiting)
	b.becomes(waiting, "dispatched")
	b.enter("deliveries", "redrive", "--listener", "lost", "--since", "1h", "--config", "current")
	b.enter("deliveries", "redrive", "--json", "--listener", "lost", "--per-second", "5")
	out := b.enter(
		"listeners", "send", "github", "--secret-file", b.file(operatorSecret), "--to", b.public+"/ingress/hub",
	)
	if !strings.HasPrefix(out, "202 ") {
		t.Errorf("a sample: %s", out)
	}
	b.enter("listeners", "list")
	for _, verb := range []string{
		"deliveries list", "deliveries show", "deliveries tail", "deliveries redrive", "deliveries discard",
		"deliveries forward", "listeners list", "listeners show", "listeners pause", "listeners resume",
		"listeners validate", "listeners send",
	} {
		if got := b.must(strings.Fields(verb + " --help")...); !strings.HasPrefix(got, "noetl-gateway "+verb) {
			t.Errorf("%s --help: %s", verb, got)
		}
	}
	for _, json := range []string{"deliveries list", "listeners list", "listeners validate " + b.folder} {
		got := b.must(strings.Fields(json + " --json")...)
		if !strings.HasPrefix(got, "{") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s --json: %s", json, got)
		}
	}
	b.compare(filepath.Join("testdata", "operators.golden"))
}

// idOf waits for the newest delivery that shows a text in a state, and returns its id.
func (b *book) idOf(text, state string) (id string) {
	b.t.Helper()
	testkit.Eventually(b.t, text+" is "+state, func() bool {
		path := "deliveries?state=" + state + "&q=" + text
		if text == "good" {
			path = "deliveries?state=" + state + "&listener=good"
		}
		a := b.api(http.MethodGet, path, nil)
		all := testkit.Decode[struct {
			Deliveries []struct{ ID string }
		}](b.t, a)
		if len(all.Deliveries) > 0 {
			id = all.Deliveries[0].ID
		}
		return id != ""
	})
	return id
}

func (b *book) compare(path string) {
	b.t.Helper()
	got := b.stable(b.text.String())
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	wants, gots := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(wants), len(gots)) {
		if i >= len(wants) || i >= len(gots) || wants[i] != gots[i] {
			b.t.Fatalf("%s differs from line %d on (UPDATE_GOLDEN=1 writes it); now:\n%s", path, i+1, got)
		}
	}
}

// A tail and a forward follow what partners deliver, until they are interrupted.
func TestOperatorsFollowDeliveries(t *testing.T) {
	t.Parallel()
	verify := "{type: bearer, secret: {value: " + operatorSecret + "}}"
	o := newOperators(t, stack.FreePort(t), map[string]string{
		"good.yaml": listener("good", "demo/webhook", verify), "lost.yaml": listener("lost", "demo/none", verify),
	})
	got := make(chan string, 16)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("X-Message-Id") + " " + r.Header.Get("Authorization") + " " + string(body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(target.Close)
	follow := func(args ...string) (lines <-chan string, interrupt func()) {
		cmd := o.command(args...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		each := make(chan string, 64)
		go func() {
			defer close(each)
			for s := bufio.NewScanner(out); s.Scan(); {
				each <- s.Text()
			}
		}()
		return each, func() {
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Error(err)
			}
			for range each { // to its end
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%q: %v", args, err)
			}
		}
	}
	lines, stopTail := follow("deliveries", "tail", "--listener", "lost")
	raw, stopRaw := follow("deliveries", "tail", "--json")
	forwarded, stopForward := follow("deliveries", "forward", "--to", target.URL)
	testkit.Eventually(t, "three tails are open", func() bool {
		return strings.Contains(testkit.Do(t, http.MethodGet, o.p.Ready.Admin+"/metrics", nil).Body,
			"noetl_gateway_delivery_tails 3")
	})
	for _, name := range []string{"good", "lost"} {
		if a := o.bearer(name, operatorSecret, "of-"+name, `{"n":2}`); a.Code != http.StatusAccepted {
			t.Errorf("%d %s", a.Code, a.Body)
		}
		if post := <-got; post != "of-"+name+` *** {"n":2}` {
			t.Errorf("forwarded %q", post)
		}
		if line := <-forwarded; !strings.Contains(line, ": 202 in ") {
			t.Errorf("said %q", line)
		}
	}
	if line := o.stable(<-lines); !strings.Contains(line, "lost") {
		t.Errorf("the tail of lost: %q", line)
	}
	if line := <-raw; !strings.HasPrefix(line, `{"id":"`) || !strings.Contains(line, `"listener":"good"`) {
		t.Errorf("the tail in JSON: %q", line)
	}
	stopTail()
	stopRaw()
	stopForward()
}

// Every route of the operators' API, for an operator, for somebody else and for nobody.
func TestOperatorsRoutes(t *testing.T) {
	t.Parallel()
	verify := "{type: bearer, secret: {value: " + operatorSecret + "}}"
	o := newOperators(t, stack.FreePort(t), map[string]string{"lost.yaml": listener("lost", "demo/none", verify)})
	if a := o.bearer("lost", operatorSecret, "r1", `{"n":3}`); a.Code != http.StatusAccepted {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	id := (&book{operators: o}).idOf("r1", "dead")
	demo := stack.Login(t, o.public, o.p.Ready.Issuer, "demo@example.com")
	for _, c := range []struct {
		method, path, body string
		want               int
		says               string
	}{
		{"GET", "listeners", "", 200, `"name":"lost"`},
		{"GET", "deliveries", "", 200, id},
		{"GET", "deliveries?state=dead&listener=lost&since=1h&limit=5&q=r1", "", 200, id},
		{"GET", "deliveries/" + id, "", 200, `"body":"{\"n\":3}"`},
		{"POST", "listeners/lost/pause", "", 204, ""},
		{"POST", "listeners/lost/resume", "{}", 204, ""},
		{"POST", "listeners/lost/try-rules", `{"filter":"message.data.n == 3","limit":5}`, 200, id},
		{"POST", "listeners/lost/redrive", `{"since":"1h","per_second":5}`, 200, `{"redriven":1}`},
		{"POST", "deliveries/none/redrive", `{}`, 404, "no_such_delivery"},
		{"POST", "deliveries/none/discard", "", 404, "no_such_delivery"},
		{"POST", "listeners/none/pause", "", 404, "unknown_listener"},
		{"GET", "deliveries?stat=dead", "", 400, "bad_parameter"},
		{"GET", "nothing", "", 404, ""},
		{"DELETE", "deliveries/" + id, "", 405, ""},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		if a := o.api(c.method, c.path, body); a.Code != c.want || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.Code, a.Body, c.want, c.says)
		}
		url := o.public + "/api/ingress/" + c.path
		if a := testkit.Do(t, c.method, url, body, "Authorization", "Bearer "+demo); a.Code != http.StatusForbidden {
			t.Errorf("%s %s without the role: %d %s", c.method, c.path, a.Code, a.Body)
		}
		if a := testkit.Do(t, c.method, url, body); a.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a session: %d %s", c.method, c.path, a.Code, a.Body)
		}
	}
	testkit.Eventually(t, "the redriven one is dead again", func() bool {
		return strings.Count(o.api(http.MethodGet, "deliveries/"+id, nil).Body, `"code":"noetl_404"`) == 2
	})
	o.becomes(id, "dead")
	for _, step := range []struct {
		path string
		want int
	}{{"discard", 204}, {"discard", 409}, {"redrive", 204}} {
		if a := o.api(http.MethodPost, "deliveries/"+id+"/"+step.path, `{}`); a.Code != step.want {
			t.Errorf("%s: %d %s", step.path, a.Code, a.Body)
		}
	}
}
