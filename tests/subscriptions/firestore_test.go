package subscriptions_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/firestoretest"
)

const thread = "chat_threads/public/events"

// collection is a collection of Google's emulator, written through its REST API.
type collection struct {
	t    *testing.T
	at   *firestoretest.Emulator
	path string
}

func (c *collection) put(doc string, n int) error {
	c.at.Put(c.t, c.path, doc, `{"n":`+strconv.Itoa(n)+`}`)
	return nil
}

func (c *collection) remove(doc string) error {
	c.at.Delete(c.t, c.path, doc)
	return nil
}

func emulator(t *testing.T) *firestoretest.Emulator {
	t.Helper()
	if firestoretest.Jar() == "" {
		t.Skip("SKIPPED Firestore emulator: cloud-firestore-emulator.jar is not on this machine " +
			"(FIRESTORE_EMULATOR_JAR names it)")
	}
	return firestoretest.Start(t)
}

// listeners returns the process ids of the Firestore listeners that a replica has started.
func listeners(t *testing.T, parent int) []int {
	t.Helper()
	var found []int
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, pid)
		}
	}
	return found
}

// 10,000 changes over the REST API, while owners and listeners die three times each and NATS restarts: every follower
// ends with what the emulator has.
func TestFirestoreUnderKills(t *testing.T) {
	e := emulator(t)
	s := start(t, e.Environment()...)
	to := &collection{t: t, at: e, path: thread}
	var followers []*follower
	for i, session := range users(t, s, "demo", "admin", "viewer") {
		f := follow(t, s, session, i)
		f.subscribe("firestore", thread)
		followers = append(followers, f)
	}
	killed := 0
	outages(t, s, &load{to: to, docs: 60, want: map[string]int{}}, "firestore", followers, 1250, func() {
		for _, p := range s.Fanout {
			for _, pid := range listeners(t, p.PID()) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
					killed++
				}
			}
		}
	})
	if killed < 3 {
		t.Errorf("only %d listeners were killed", killed)
	}
	there := e.Documents(t, thread)
	for i, f := range followers {
		f.mu.Lock()
		if len(f.docs) != len(there) {
			t.Errorf("follower %d has %d documents, the emulator %d", i, len(f.docs), len(there))
		}
		for doc, n := range f.docs {
			if !strings.Contains(string(there[doc]), strconv.Quote(strconv.Itoa(n))) {
				t.Errorf("follower %d has %s as %d, the emulator as %s", i, doc, n, there[doc])
			}
		}
		f.mu.Unlock()
	}
}

// Whoever subscribes to one path, at whichever replica, is served by one watch of one listener.
func TestFiveHundredSubscribersAreOneWatch(t *testing.T) {
	e := emulator(t)
	s := start(t, append(
		e.Environment(), "GATEWAY_SUBSCRIPTIONS_PER_USER=600", "GATEWAY_SUBSCRIPTIONS_PER_CLIENT=64")...)
	to := &collection{t: t, at: e, path: thread}
	if err := to.put("first", 1); err != nil {
		t.Fatal(err)
	}
	const sessions, each = 13, 39
	var followers []*follower
	for i := range sessions {
		f := follow(t, s, users(t, s, "demo")[0], i)
		for range each {
			f.subscribe("firestore", thread) // it reads the frames of the last one
		}
		followers = append(followers, f)
	}
	if err := to.put("second", 2); err != nil {
		t.Fatal(err)
	}
	testkit.EventuallyIn(t, 30*time.Second, "everybody knows the documents", func() bool {
		for _, f := range followers {
			if !f.has(map[string]int{"first": 1, "second": 2}) {
				return false
			}
		}
		return true
	})
	watches := 0
	for _, p := range s.Fanout {
		body := testkit.Do(t, http.MethodGet, p.Ready.Admin+"/readyz", "").Body
		_, rest, _ := strings.Cut(body, "running, ")
		word, _, _ := strings.Cut(rest, " watches")
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatalf("no word of watches: %s", body)
		}
		watches += n
	}
	if watches != 1 {
		t.Errorf("%d watches at the emulator for %d subscribers", watches, sessions*each)
	}
}
