package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/testkit"
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
	noetlStream(t, js)
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
			if _, err := js.Publish(
				t.Context(),
				"noetl.events.t.o."+started.ExecutionID+".0",
				[]byte(
					fmt.Sprintf(
						`{"event_type":"step.exit","execution_id":%q,"step_name":%q}`, started.ExecutionID, step,
					),
				),
			); err != nil {
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
	owner := ownerOf(t, p, session)
	pending := 0
	fill := func(n int) {
		from := pending
		spread(64, n-from, func(i int) {
			id := fmt.Sprintf("bench-%d", from+i)
			ask(
				t,
				nc,
				fanoutwire.SubjectExpect,
				fanoutwire.ExpectRequest{
					RequestID:    id,
					ClientID:     client,
					Owner:        owner,
					SessionKey:   strings.Repeat("0", 64),
					PlaybookPath: "bench/any",
				},
			)
			ask(
				t, nc, fanoutwire.SubjectBind,
				fanoutwire.BindRequest{RequestID: id, ExecutionID: strconv.Itoa(1_000_000 + from + i)},
			)
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
	t.Logf(
		"RESULT one lifecycle event, from the stream to the client's socket (median of 3 rounds of %d): %v with "+
			"100,000 pending requests : %v with 10 = %.2f (the requests took %v to register)",
		events,
		many.Round(10*time.Microsecond),
		few.Round(10*time.Microsecond),
		float64(many)/float64(few),
		took.Round(time.Second),
	)
}

// noetlStream makes the stream of lifecycle events that NoETL would make, under a name of its own.
func noetlStream(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	cfg := jetstream.StreamConfig{
		Name:     "BENCH_EVENTS",
		Subjects: []string{"noetl.events.>"},
		Storage:  jetstream.FileStorage,
	}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func ownerOf(t *testing.T, p *stack.Proc, session string) string {
	t.Helper()
	who := testkit.Decode[authwire.ValidateResponse](
		t,
		testkit.Do(t, "POST", p.Ready.Public+"/api/auth/validate", `{"session_token":"`+session+`"}`),
	)
	if !who.Valid {
		t.Fatal("no session")
	}
	return who.User.Owner()
}

// TestBenchProgressReport measures what one worker's report costs while few and while many requests wait for
// the same execution.
func TestBenchProgressReport(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	const reports, rounds = 400, 5
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
	noetlStream(t, js)
	conn, client := dialStream(t, p.Ready.Public, session)
	defer func() { _ = conn.Close() }()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	owner := ownerOf(t, p, session)
	waiting := []int{1, 20, 100}
	for _, n := range waiting {
		for i := range n {
			id := fmt.Sprintf("wait-%d-%d", n, i)
			ask(t, nc, fanoutwire.SubjectExpect, fanoutwire.ExpectRequest{
				RequestID:    id,
				ClientID:     client,
				Owner:        owner,
				SessionKey:   strings.Repeat("0", 64),
				PlaybookPath: "bench/any",
			})
			ask(
				t, nc, fanoutwire.SubjectBind,
				fanoutwire.BindRequest{RequestID: id, ExecutionID: strconv.Itoa(7_000_000 + n)},
			)
		}
	}
	number := 0
	cost := func(n int) float64 { // CPU milliseconds of the process per report
		begin := cpu(t, p.PID())
		for range reports {
			number++
			a := testkit.Do(
				t,
				"POST",
				p.Ready.Internal+"/api/internal/progress",
				fmt.Sprintf(
					`{"request_id":"wait-%d-0","execution_id":"%d","step":"s","message":"%d","progress":0.5}`, n,
					7_000_000+n, number,
				),
			)
			if a.Code != 200 {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
		}
		return float64((cpu(t, p.PID()) - begin).Microseconds()) / 1000 / reports
	}
	all := map[int][]float64{}
	for _, n := range waiting { // warm
		cost(n)
	}
	for range rounds {
		for _, n := range waiting {
			all[n] = append(all[n], cost(n))
		}
	}
	one, some, many := median(all[1]), median(all[20]), median(all[100])
	t.Logf(
		"RESULT CPU of one progress report (median of %d rounds of %d): %.2f ms with 1 request waiting for the "+
			"execution, %.2f ms with 20 = %.2f, %.2f ms with 100 = %.2f",
		rounds,
		reports,
		one,
		some,
		some/one,
		many,
		many/one,
	)
	if many > 1.5*one {
		t.Errorf("a report costs %.1f times as much with 100 waiting", many/one)
	}
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
