package noetl

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// What is read of a catalog, in which every entry comes with its text and the parsed forms of it.
const (
	maxCatalog = 1 << 30 // bytes of the answer, which is never held
	maxEntry   = 16 << 20
	maxPaths   = 100_000
	maxKept    = 256 << 10 // bytes of the text of one entry
	maxAllKept = 64 << 20
)

// declares reports the text of a playbook that may say itself what it takes or returns.
func declares(text string) bool {
	return strings.Contains(text, "input_schema") || strings.Contains(text, "output_schema")
}

// Playbooks lists the playbooks and agents of the catalog, each in its latest version, in the order of their paths. The
// text of an entry is kept only if it may hold a metadata.input_schema or output_schema: all the texts of a large
// catalog are many megabytes. It asks for all kinds: to ask for one would bring up an old version of a path that is of
// another kind now.
func (c *Client) Playbooks(ctx context.Context) ([]noetlwire.CatalogEntry, error) {
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
	return readCatalog(resp.Body)
}

// readCatalog reads {"entries": […]}, or the array alone, entry by entry.
func readCatalog(r io.Reader) ([]noetlwire.CatalogEntry, error) {
	in := &bounded{
		from: noetlwire.NewLenientReader(r), most: maxCatalog, each: maxEntry, tooLarge: errCatalogTooLarge,
	}
	dec := json.NewDecoder(in)
	l := latest{at: map[string]noetlwire.CatalogEntry{}}
	found, err := entriesIn(dec)
	for err == nil && found && dec.More() {
		in.begin(dec.InputOffset())
		var e catalogEntry
		if err = dec.Decode(&e); isMistyped(err) {
			err = nil // one entry that no server writes hides no other
			continue
		}
		if err == nil {
			err = l.add(e)
		}
	}
	if err == nil && !found {
		err = errNoCatalog
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, f
	}
	if err != nil {
		return nil, catalogFault(err)
	}
	return l.sorted(), nil
}

// catalogFault tells an answer that is no catalog from one that did not arrive.
func catalogFault(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) || isMistyped(err) || errors.Is(err, errNoCatalog) {
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

// latest keeps the latest version of each path.
type latest struct {
	at   map[string]noetlwire.CatalogEntry
	kept int // bytes of texts
}

func (l *latest) add(e catalogEntry) error {
	old, known := l.at[e.Path]
	switch {
	case e.Path == "" || known && old.Version >= e.Version:
		return nil
	case !known && len(l.at) == maxPaths:
		return errCatalogTooLarge()
	case len(e.Content) > maxKept || !declares(e.Content):
		e.Content = ""
	}
	l.kept += len(e.Content) - len(old.Content)
	if l.kept > maxAllKept {
		return errCatalogTooLarge()
	}
	l.at[e.Path] = noetlwire.CatalogEntry(e)
	return nil
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

// bounded reads an answer whose entries are bounded one by one, since a decoder holds a whole one.
type bounded struct {
	from       io.Reader
	most, each int64 // bytes of all, and of one entry
	tooLarge   func() error
	read, mark int64
}

func (b *bounded) begin(offset int64) { b.mark = offset }

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.read > b.most || b.read-b.mark > b.each {
		return 0, b.tooLarge()
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
