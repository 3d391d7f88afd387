package noetl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// bounds are what is read of a catalog, in which every entry comes with its text and the parsed forms of it, and of how
// an execution ended. All but paths are bytes.
type bounds struct {
	catalog int64 // of the answer, which is never held
	entry   int64
	paths   int
	kept    int // of the text of one entry
	allKept int
	ending  int64 // of one answer; entry bounds what is held of it
}

func defaultBounds() bounds {
	return bounds{
		catalog: 1 << 30, entry: 16 << 20, paths: 100_000, kept: 256 << 10, allKept: 64 << 20, ending: 32 << 20,
	}
}

// Playbooks lists the playbooks and agents of the catalog, each in its latest version, in the order of their paths. The
// text of an entry is kept only where keep wants it: all the texts of a large catalog are many megabytes. It asks for
// all kinds: to ask for one would bring up an old version of a path that is of another kind now.
//
// Whoever may register a playbook decides how large a catalog is. What exceeds a bound is left out, with a warning, and
// takes nothing else along: an entry of too many bytes, the paths after the first 100,000, texts after 64 MiB.
func (c *Client) Playbooks(ctx context.Context, keep func(text string) bool) ([]noetlwire.CatalogEntry, error) {
	resp, err := c.ask(ctx, c.base, http.MethodPost, "/api/catalog/list", struct{}{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		answer, err := readAnswer(resp)
		if err != nil {
			return nil, err
		}
		return nil, statusFault(resp.StatusCode, answer).After(retryAfter(resp))
	}
	return c.readCatalog(ctx, resp.Body, keep)
}

// readCatalog reads {"entries": […]}, or the array alone, entry by entry.
func (c *Client) readCatalog(
	ctx context.Context, r io.Reader, keep func(text string) bool,
) ([]noetlwire.CatalogEntry, error) {
	in := &bounded{from: noetlwire.NewLenientReader(r), bounds: c.bounds}
	dec := json.NewDecoder(in)
	l := latest{at: map[string]noetlwire.CatalogEntry{}, keep: keep, bounds: c.bounds}
	found, err := entriesIn(dec)
	if err == nil && !found {
		err = errNoCatalog
	}
	if err == nil {
		in.inEntries = true
		err = l.read(newElements(io.MultiReader(dec.Buffered(), in), int(c.bounds.entry)))
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, f
	}
	if err != nil {
		return nil, catalogFault(err)
	}
	c.warnOfLeftOut(ctx, &l)
	return l.sorted(), nil
}

// warnOfLeftOut says once in the life of a client what was left out of a catalog, which is read every few seconds.
func (c *Client) warnOfLeftOut(ctx context.Context, l *latest) {
	for reason, example := range l.leftOut {
		if _, said := c.warned.LoadOrStore(reason, true); !said {
			c.logger.WarnContext(
				ctx, "the catalog exceeds a bound, and a part of it is not read", slog.String("reason", reason),
				slog.String("first", example),
			)
		}
	}
}

// catalogFault tells an answer that is no catalog from one that did not arrive.
func catalogFault(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) || isMistyped(err) ||
		errors.Is(err, errNoCatalog) || errors.Is(err, errNoElement) {
		return badAnswer(err)
	}
	return unreachable(err)
}

var errNoCatalog = errors.New("there is no list of entries")

func isMistyped(err error) bool {
	var mistyped *json.UnmarshalTypeError
	return errors.As(err, &mistyped)
}

// entriesIn goes to the first entry of an answer.
func entriesIn(dec *json.Decoder) (bool, error) {
	token, err := dec.Token()
	if err != nil || token == json.Delim('[') {
		return err == nil, err
	}
	if token != json.Delim('{') {
		return false, errNoCatalog
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return false, err
		}
		if name != "entries" {
			var other json.RawMessage
			if err := dec.Decode(&other); err != nil {
				return false, err
			}
			continue
		}
		token, err := dec.Token()
		if err != nil || token == nil { // null is no entries
			return false, err
		}
		if token != json.Delim('[') {
			return false, errNoCatalog
		}
		return true, nil
	}
	return false, nil
}

// catalogEntry is what is read of an entry; null stands for nothing everywhere.
type catalogEntry struct {
	CatalogID noetlwire.ID `json:"catalog_id"`
	Path      string       `json:"path"`
	Kind      string       `json:"kind"`
	Version   int          `json:"version"`
	Content   string       `json:"content"`
}

// Reasons for which a part of a catalog is left out.
const (
	leftOutEntry = "catalog_entry_too_large"
	leftOutPaths = "catalog_paths_too_many"
	leftOutTexts = "catalog_texts_too_large"
)

// latest keeps the latest version of each path.
type latest struct {
	at      map[string]noetlwire.CatalogEntry
	keep    func(text string) bool
	bounds  bounds
	kept    int               // bytes of texts
	leftOut map[string]string // a path by each reason
}

// read reads the elements of the list.
func (l *latest) read(list *elements) error {
	for {
		text, whole, err := list.next()
		if err != nil || text == nil {
			return err
		}
		if !whole {
			e := beginningOf(text)
			l.leaveOut(leftOutEntry, e.Path)
			l.add(e)
			continue
		}
		var e catalogEntry
		if err := json.Unmarshal(text, &e); isMistyped(err) {
			continue // one entry that no server writes hides no other
		} else if err != nil {
			return err
		}
		l.add(e)
	}
}

// beginningOf reads what stands in front of the large member of an entry that is too large, so that an older version
// of its path does not pass for the latest. The text of the entry is dropped.
func beginningOf(text []byte) catalogEntry {
	var e catalogEntry
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return e
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return e
		}
		var other json.RawMessage
		var into any = &other
		switch name {
		case "path":
			into = &e.Path
		case "kind":
			into = &e.Kind
		case "version":
			into = &e.Version
		}
		if err := dec.Decode(into); err != nil {
			return e
		}
	}
	return e
}

func (l *latest) add(e catalogEntry) {
	old, known := l.at[e.Path]
	switch {
	case e.Path == "" || known && old.Version >= e.Version:
		return
	case !known && len(l.at) == l.bounds.paths:
		l.leaveOut(leftOutPaths, e.Path)
		return
	case len(e.Content) > l.bounds.kept || !l.keep(e.Content):
		e.Content = ""
	case l.kept+len(e.Content)-len(old.Content) > l.bounds.allKept:
		l.leaveOut(leftOutTexts, e.Path)
		e.Content = ""
	}
	l.kept += len(e.Content) - len(old.Content)
	l.at[e.Path] = noetlwire.CatalogEntry(e)
}

// leaveOut notes the first path that a reason leaves out.
func (l *latest) leaveOut(reason, path string) {
	if l.leftOut == nil {
		l.leftOut = map[string]string{}
	}
	if _, noted := l.leftOut[reason]; !noted {
		l.leftOut[reason] = path[:min(len(path), 200)]
	}
}

func (l *latest) sorted() []noetlwire.CatalogEntry {
	list := make([]noetlwire.CatalogEntry, 0, len(l.at))
	for _, e := range l.at {
		if strings.EqualFold(e.Kind, noetlwire.KindPlaybook) || strings.EqualFold(e.Kind, noetlwire.KindAgent) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b noetlwire.CatalogEntry) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// bounded bounds an answer as a whole, and what stands before its entries, which a decoder holds.
type bounded struct {
	from      io.Reader
	bounds    bounds
	read      int64
	inEntries bool
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.read > b.bounds.catalog || !b.inEntries && b.read > b.bounds.entry {
		return 0, errCatalogTooLarge()
	}
	n, err := b.from.Read(p)
	b.read += int64(n)
	return n, err
}

func errCatalogTooLarge() error {
	return fault.New(fault.BadGateway, "noetl_answer_too_large", "NoETL's catalog is larger than this gateway reads")
}

// Schema tells which variables a playbook takes: GET /api/catalog/{path}/ui_schema. NotFound means that NoETL has no
// such playbook, or no such route.
func (c *Client) Schema(ctx context.Context, path string) (noetlwire.UISchema, error) {
	var out noetlwire.UISchema
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if segment == "." || segment == ".." { // on the way another route would be asked
			return out, errNoSchema()
		}
		segments[i] = url.PathEscape(segment)
	}
	if path == "" {
		return out, errNoSchema()
	}
	err := c.Do(ctx, http.MethodGet, "/api/catalog/"+strings.Join(segments, "/")+"/ui_schema", nil, &out)
	if f := fault.Of(err); f != nil && f.Code == code(http.StatusMethodNotAllowed) {
		return out, errNoSchema()
	}
	return out, err
}

func errNoSchema() error {
	return fault.New(fault.NotFound, "noetl_404", "NoETL does not tell which variables that playbook takes")
}
