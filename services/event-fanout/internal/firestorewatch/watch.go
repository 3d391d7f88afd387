package firestorewatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How a watch that broke is opened again, and for how long that is tried before it is told.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 10 * time.Second
	retryFor   = time.Minute
)

// watch is one id: what was told about its documents.
type watch struct {
	s     *server
	id    string
	told  map[string]time.Time // update times by document
	ready bool
	good  time.Time // when the last snapshot came, or it began
}

// watch works on one id until ctx ends or nothing can be told about it.
func (s *server) watch(ctx context.Context, id, path string) {
	w := &watch{s: s, id: id, told: map[string]time.Time{}, good: time.Now()}
	pause := retryFirst
	for {
		began := w.good
		err := w.follow(ctx, path)
		if ctx.Err() != nil {
			return
		}
		if w.good != began {
			pause = retryFirst
		}
		code, final := codeOf(err)
		if final || time.Since(w.good) > retryFor {
			s.out.error(id, code, err.Error())
			return
		}
		_, _ = fmt.Fprintf(s.stderr, "firestore-listener: a watch is opened again: %s\n", status.Code(err))
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // jitter
		pause = min(2*pause, retryMost)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

var errPath = status.Error(codes.InvalidArgument, "the path is neither a collection's nor a document's")

// follow opens the watch and tells what it says, until it breaks.
func (w *watch) follow(ctx context.Context, path string) error {
	if strings.Count(path, "/")%2 == 1 {
		ref := w.s.client.Doc(path)
		if ref == nil {
			return errPath
		}
		return w.followDocument(ctx, ref)
	}
	ref := w.s.client.Collection(path)
	if ref == nil {
		return errPath
	}
	return w.followCollection(ctx, ref)
}

func (w *watch) followCollection(ctx context.Context, ref *firestore.CollectionRef) error {
	it := ref.Snapshots(ctx)
	defer it.Stop()
	for first := true; ; first = false {
		snapshot, err := it.Next()
		if err != nil {
			return err
		}
		if first { // every document is an addition, and what was told before may be gone
			there := map[string]bool{}
			for _, c := range snapshot.Changes {
				there[c.Doc.Ref.ID] = true
			}
			for id := range w.told {
				if !there[id] {
					w.remove(id)
				}
			}
		}
		for _, c := range snapshot.Changes {
			if c.Kind == firestore.DocumentRemoved {
				w.remove(c.Doc.Ref.ID)
			} else {
				w.put(c.Doc)
			}
		}
		w.end()
	}
}

func (w *watch) followDocument(ctx context.Context, ref *firestore.DocumentRef) error {
	it := ref.Snapshots(ctx)
	defer it.Stop()
	for {
		doc, err := it.Next()
		if err != nil {
			return err
		}
		if doc.Exists() {
			w.put(doc)
		} else {
			w.remove(ref.ID)
		}
		w.end()
	}
}

// put tells a document, unless that state of it was told.
func (w *watch) put(doc *firestore.DocumentSnapshot) {
	before, known := w.told[doc.Ref.ID]
	if known && before.Equal(doc.UpdateTime) {
		return
	}
	w.told[doc.Ref.ID] = doc.UpdateTime
	op := "added"
	if known {
		op = "modified"
	}
	data, err := dataOf(doc)
	if err != nil {
		_, _ = fmt.Fprintf(w.s.stderr, "firestore-listener: a document holds what the library cannot read: %s\n", err)
	}
	line := w.begin(doc.Ref.ID, op)
	line = append(line, `,"update_time":"`...)
	line = doc.UpdateTime.UTC().AppendFormat(line, time.RFC3339Nano)
	// The data comes last, so that a line that is too long tells at its beginning what it is about.
	line = append(append(line, `","data":`...), data...)
	w.s.out.line(append(line, '}'))
}

// remove tells that a document is gone, if it was told.
func (w *watch) remove(id string) {
	if _, known := w.told[id]; !known {
		return
	}
	delete(w.told, id)
	w.s.out.line(append(w.begin(id, "removed"), `,"data":null}`...))
}

func (w *watch) begin(doc, op string) []byte {
	line := appendString([]byte(`{"id":`), w.id)
	line = appendString(append(line, `,"doc_id":`...), doc)
	return appendString(append(line, `,"op":`...), op)
}

// end is the end of a snapshot.
func (w *watch) end() {
	w.good = time.Now()
	if !w.ready {
		w.ready = true
		w.s.out.line(append(appendString([]byte(`{"id":`), w.id), `,"op":"ready"}`...))
	}
	w.s.out.flush()
}

// codeOf returns what the gateway is told, and whether trying again is of no use.
func codeOf(err error) (code string, final bool) {
	switch status.Code(err) {
	case codes.PermissionDenied:
		return "permission_denied", true
	case codes.NotFound:
		return "not_found", true
	case codes.InvalidArgument:
		return "invalid_argument", true
	case codes.FailedPrecondition, codes.Unimplemented: // a database in another mode
		return "failed_precondition", true
	case codes.Unauthenticated:
		return "unauthenticated", false
	default:
		return "unavailable", false
	}
}

// dataOf returns the document as JSON, null for one that the library cannot read: it panics on a reference to a
// collection.
func dataOf(doc *firestore.DocumentSnapshot) (data []byte, err error) {
	defer func() {
		if what := recover(); what != nil {
			data, err = []byte("null"), errors.New(fmt.Sprint(what))
		}
	}()
	return appendValue(nil, doc.Data()), nil
}
