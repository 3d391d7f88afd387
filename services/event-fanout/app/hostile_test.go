package app_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// hostile is what a worker or a template may put into a JSON text: any bytes but those that end it.
func hostile(r *rand.Rand) string {
	pieces := []string{
		"\xe9",
		"\xff\xfe",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xc0\xaf",
		"\xe2\x82",
		`\ud800`,
		`\udfff`,
		`\ud83d\ude00`,
		`\\ud800`,
		`\u0000`,
		"\u2028",
		"\u2029",
		"data: x",
		"event: y",
		"\x7f",
		`\n\nid: 1\n\n`,
		"é",
		"😀",
		"</script>",
		`\"`,
		`\r`,
		":",
		" ",
	}
	var b strings.Builder
	for range r.IntN(12) {
		if r.IntN(3) > 0 {
			b.WriteString(pieces[r.IntN(len(pieces))])
			continue
		}
		for range r.IntN(8) {
			if c := byte(r.IntN(256)); c >= ' ' && c != '"' && c != '\\' {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// What workers send never breaks the stream of a client, over either transport, nor that of one that comes
// back for all of it.
func TestHostileCallbacksReachEveryClient(t *testing.T) {
	t.Parallel()
	const callbacks, seed = 1000, 9
	w := newWorld(t)
	a := w.replica("GATEWAY_STREAM_QUEUE_FRAMES=4096", "GATEWAY_STREAM_QUEUE_BYTES=16777216")
	token := w.login(7, time.Hour)
	s := testkit.OpenEvents(t, a.public, token, nil)
	client := s.ClientID(t)
	socket, _ := w.wsDial(a.public, "client_id="+client, token)
	messages := make(chan string, 4*callbacks) // read as they come: who reads nothing for a while is cut off
	go func() {
		defer close(messages)
		for {
			_ = socket.SetReadDeadline(time.Now().Add(30 * time.Second)) // of a message, not of the whole test
			_, body, err := socket.ReadMessage()
			if err != nil {
				return
			}
			messages <- string(body)
		}
	}()
	r := rand.New(rand.NewPCG(seed, seed))
	sent := map[string]bool{}
	for i := range callbacks {
		id := "r" + strconv.Itoa(i)
		w.expect(id, client)
		text := func() string { return `"` + hostile(r) + `"` }
		parts := []string{
			`"request_id":"` + id + `"`,
			fmt.Sprintf(`"data":{%s:[%s,{"a":%s}]}`, text(), text(), text()),
			`"execution_id":` + strconv.Itoa(i+1),
		}
		switch r.IntN(4) {
		case 0:
			parts = append(parts, fmt.Sprintf(`"error":{"message":%s,"code":%s,"data":%s}`, text(), text(), text()))
		case 1:
			parts = append(parts, `"error":`+text(), `"status":`+text())
		case 2:
			parts = append(parts, `"step":`+text())
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		status, answer := w.post(a.internal+"/api/internal/callback/async", "{"+strings.Join(parts, ",")+"}")
		if status == 200 || status == 202 {
			sent[id] = true
		} else {
			t.Errorf("%d %s for %q", status, answer, parts)
		}
		if i%10 == 0 {
			w.expect("p"+id, client)
			if status, answer := w.post(
				a.internal+"/api/internal/progress/",
				`{"request_id":"p`+id+`","message":`+text()+`,"step":`+text()+`}`,
			); status != 200 {
				t.Errorf("%d %s", status, answer)
			}
		}
	}
	missing := func(name string, next func() (event, text string)) {
		left := map[string]bool{}
		for id := range sent {
			left[id] = true
		}
		for len(left) > 0 {
			event, text := next()
			validText(t, text)
			if event != "playbook/result" {
				continue
			}
			_, rest, _ := strings.Cut(text, `"requestId":"`)
			id, _, _ := strings.Cut(rest, `"`)
			if !left[id] {
				t.Fatalf("%s: %q came twice or never was", name, id)
			}
			delete(left, id)
		}
	}
	stream := func(s *testkit.EventStream) func() (string, string) {
		return func() (string, string) { e := s.Next(t); return e.Name, e.Data }
	}
	missing("SSE", stream(s))
	missing("WebSocket", func() (string, string) {
		body, open := <-messages
		if !open {
			t.Fatal("the socket ended before every result had come")
		}
		_, rest, _ := strings.Cut(body, `"method":"`)
		method, _, _ := strings.Cut(rest, `"`)
		return method, body
	})
	again := testkit.OpenEvents(
		t, a.public, token, map[string][]string{"last_event_id": {firstID(t, a, token)}, "client_id": {client}},
	)
	missing("SSE, once more from the log", stream(again))
}

// firstID is the event id from before every frame.
func firstID(t *testing.T, a *replica, token string) string {
	t.Helper()
	s := testkit.OpenEvents(t, a.public, token, nil)
	first := <-s.Events
	epoch, _, _ := strings.Cut(first.ID, "-")
	return epoch + "-s0"
}
