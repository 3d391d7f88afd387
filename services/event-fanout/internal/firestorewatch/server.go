// Package firestorewatch is the program firestore-listener: many watches of Firestore over one client, asked for and
// answered in lines of JSON. It is the one package with a library of Google's cloud, so only that
// program may import it.
//
// A connection that breaks is made again inside: the library resumes its stream, and where it gives up the watch is
// opened again and the difference to what was told is told, removals included. What cannot work later is told per id
// by {"id", "op": "error", "code", "message"}, as is a watch that could not be opened again for a minute.
package firestorewatch

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/option"
)

const (
	// maxQuestion bounds a line of the input: a path of Firestore has at most 6 KiB.
	maxQuestion = 64 << 10
	// connections is how many connections to Google there are: each carries about 100 watches.
	connections = 8
)

// Main runs the program until its input ends or ctx does, and returns its exit code. The settings are those of the
// environment: GATEWAY_FIRESTORE_PROJECT_ID, GATEWAY_FIRESTORE_DATABASE, GATEWAY_FIRESTORE_CREDENTIALS_PATH, and
// FIRESTORE_EMULATOR_HOST for an emulator, which needs no credentials.
func Main(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		_, _ = fmt.Fprintf(stderr, "firestore-listener: %s\n", err)
		return 1
	}
	client, err := open(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = client.Close() }()
	if err := serve(ctx, client, stdin, stdout, stderr); err != nil {
		return fail(err)
	}
	return 0
}

func open(ctx context.Context) (*firestore.Client, error) {
	if path := os.Getenv("GATEWAY_FIRESTORE_CREDENTIALS_PATH"); path != "" {
		// The library finds out what kind of credential the file is: a service account's, or a federated one.
		if err := os.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path); err != nil {
			return nil, err
		}
	}
	project := cmp.Or(os.Getenv("GATEWAY_FIRESTORE_PROJECT_ID"), firestore.DetectProjectID)
	database := cmp.Or(os.Getenv("GATEWAY_FIRESTORE_DATABASE"), firestore.DefaultDatabaseID)
	return firestore.NewClientWithDatabase(ctx, project, database, option.WithGRPCConnectionPool(connections))
}

// question is a line of the input.
type question struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	ID   string `json:"id"`
}

// server answers the questions of one input.
type server struct {
	client *firestore.Client
	out    *output
	stderr io.Writer
	work   sync.WaitGroup
	stops  map[string]context.CancelFunc // of the goroutine that reads questions
}

func serve(ctx context.Context, client *firestore.Client, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{
		client: client, out: &output{w: bufio.NewWriterSize(stdout, maxQuestion)}, stderr: stderr,
		stops: map[string]context.CancelFunc{},
	}
	defer s.work.Wait()
	defer cancel()
	s.out.line([]byte(`{"op":"hello"}`))
	s.out.flush()
	lines, ended := make(chan []byte), make(chan error, 1)
	go func() {
		in := bufio.NewScanner(stdin)
		in.Buffer(nil, maxQuestion)
		for in.Scan() {
			select {
			case lines <- bytes.Clone(in.Bytes()):
			case <-ctx.Done():
				return
			}
		}
		ended <- in.Err()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case line := <-lines:
			s.answer(ctx, line)
		}
	}
}

func (s *server) answer(ctx context.Context, line []byte) {
	var q question
	if err := json.Unmarshal(line, &q); err != nil || q.ID == "" {
		_, _ = fmt.Fprintln(s.stderr, "firestore-listener: a line of the input is invalid")
		return
	}
	stop, known := s.stops[q.ID]
	switch q.Op {
	case "subscribe":
		if known {
			s.out.error(q.ID, "already_exists", "the id is already watched")
			return
		}
		wctx, cancel := context.WithCancel(ctx)
		s.stops[q.ID] = cancel
		s.work.Go(func() { s.watch(wctx, q.ID, q.Path) })
	case "unsubscribe":
		if known {
			stop()
			delete(s.stops, q.ID)
		}
	default:
		_, _ = fmt.Fprintln(s.stderr, "firestore-listener: a line of the input has an op that is unknown")
	}
}

// output is what is written, line by line, and sent on when flushed. An error is left to the writes that follow: the
// input of a program whose output nobody reads ends too.
type output struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (o *output) line(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.w.Write(line)
	_ = o.w.WriteByte('\n')
}

func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.w.Flush()
}

func (o *output) error(id, code, message string) {
	line := appendString([]byte(`{"id":`), id)
	line = appendString(append(line, `,"op":"error","code":`...), code)
	line = appendString(append(line, `,"message":`...), message)
	o.line(append(line, '}'))
	o.flush()
}
