package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/tests/stack"
)

// TestBenchLifecycleEvent measures one event from NoETL's stream to the client's socket while few
// and while many requests are pending.
func TestBenchLifecycleEvent(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	up, _ := part(t, "upstream")
	p, session := gateway(t, up)
	nc, err := nats.Connect(p.Ready.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	conn, client := dialStream(t, p.Ready.Public, session)
	defer func() { _ = conn.Close() }()
	started := stack.Execute(t, p.Ready.Public, session, client, "bench/any", `{}`)
	arrived := make(chan string, 1024)
	go func() {
		scanner := bufio.NewScanner(conn)
		scanner.Buffer(make([]byte, 64<<10), 1<<20)
		for scanner.Scan() {
			if line := scanner.Text(); strings.Contains(line, `"method":"playbook/state"`) {
				arrived <- line
			}
		}
	}()
	const events = 1000
	number := 0
	round := func() time.Duration {
		var all []time.Duration
		for range events {
			number++
			step := "s" + strconv.Itoa(number)
			begin := time.Now()
			if _, err := js.Publish(t.Context(), "noetl.events.t.o."+started.ExecutionID+".0", []byte(fmt.Sprintf(`{"event_type":"step.exit","execution_id":%q,"step_name":%q}`, started.ExecutionID, step))); err != nil {
				t.Fatal(err)
			}
			select {
			case line := <-arrived:
				if !strings.Contains(line, `"`+step+`"`) {
					t.Fatalf("%s instead of %s", line, step)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no frame for ", step)
			}
			all = append(all, time.Since(begin))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	who := stack.Decode[authwire.ValidateResponse](t, stack.Do(t, "POST", p.Ready.Public+"/api/auth/validate", `{"session_token":"`+session+`"}`))
	if !who.Valid {
		t.Fatal("no session")
	}
	owner := who.User.Owner()
	pending := 0
	fill := func(n int) {
		from := pending
		spread(64, n-from, func(i int) {
			id := fmt.Sprintf("bench-%d", from+i)
			ask(t, nc, fanoutwire.SubjectExpect, fanoutwire.ExpectRequest{RequestID: id, ClientID: client, Owner: owner, SessionKey: strings.Repeat("0", 64), PlaybookPath: "bench/any"})
			ask(t, nc, fanoutwire.SubjectBind, fanoutwire.BindRequest{RequestID: id, ExecutionID: strconv.Itoa(1_000_000 + from + i)})
		})
		pending = n
	}
	middle := func() time.Duration {
		round() // warm
		three := []time.Duration{round(), round(), round()}
		slices.Sort(three)
		return three[1]
	}
	fill(10)
	few := middle()
	begin := time.Now()
	fill(100_000)
	took := time.Since(begin)
	many := middle()
	t.Logf("RESULT one lifecycle event, from the stream to the client's socket (median of 3 rounds of %d): %v with 100,000 pending requests : %v with 10 = %.2f (the requests took %v to register)",
		events, many.Round(10*time.Microsecond), few.Round(10*time.Microsecond), float64(many)/float64(few), took.Round(time.Second))
}

// ask makes one call of event-fanout's over NATS, as edge-proxy does.
func ask(t *testing.T, nc *nats.Conn, subject string, in any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Error(err)
		return
	}
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		msg, err := nc.RequestWithContext(ctx, subject, body)
		cancel()
		failed := err != nil || msg.Header.Get("Nats-Service-Error-Code") != ""
		if !failed {
			return
		}
		if try == 5 {
			t.Errorf("%s: %v %v", subject, err, msg)
			return
		}
	}
}
