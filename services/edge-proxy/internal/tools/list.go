package tools

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// What one page may cost.
const (
	maxQuestions = 500 // about what a caller may execute
	concurrent   = 8   // questions and schemas
)

// List returns the tools of a caller.
func (s *Service) List(ctx context.Context, in ListRequest) (ListResponse, error) {
	limit := in.Limit
	if limit < 1 || limit > PageSize {
		limit = PageSize
	}
	from, err := readCursor(in.Cursor)
	if err != nil {
		return ListResponse{}, err
	}
	x, err := s.latest(ctx)
	if err != nil {
		return ListResponse{}, err
	}
	p := page{service: s, index: x, caller: in.Caller, limit: limit, at: x.after(from), last: from.Path}
	if err := p.fill(ctx); err != nil {
		return ListResponse{}, err
	}
	tools, err := s.describe(ctx, p.found)
	if err != nil {
		return ListResponse{}, err
	}
	return ListResponse{Tools: tools, Next: p.next()}, nil
}

// page collects what a caller may execute.
type page struct {
	service *Service
	index   *index
	caller  edge.Caller
	limit   int
	at      int    // of the entries, the next to be examined
	last    string // path that was offered last, on this page or one before
	found   []*entry
}

// fill examines entries until the page is full, they end, or enough was asked.
func (p *page) fill(ctx context.Context) error {
	left := maxQuestions
	known := p.service.known(p.caller, p.index)
	for p.at < len(p.index.entries) && len(p.found) < p.limit && left > 0 {
		to := min(p.at+max(p.limit-len(p.found), concurrent), p.at+left, len(p.index.entries))
		asked, err := p.service.ask(ctx, p.caller, known, p.at, to)
		if err != nil {
			return err
		}
		left -= asked
		for p.at < to && len(p.found) < p.limit {
			if e := &p.index.entries[p.at]; e.name != "" && known.allows(p.at) {
				p.found, p.last = append(p.found, e), e.Path
			}
			p.at++
		}
	}
	return nil
}

func (p *page) next() string {
	if p.at == len(p.index.entries) {
		return ""
	}
	c := cursor{Version: cursorVersion, Path: p.last}
	if c.Skip = p.at - p.index.behind(p.last); c.Skip > 0 {
		c.Of = p.index.mark()
	}
	return c.String()
}

// cursor is where a page ended: behind Path, which its caller was offered, and behind as many more entries of the
// catalog Of as Skip says. What a caller may not execute is not named to it, nor is a hash of it there, which would
// tell whoever guesses a path that there is such a playbook. A number holds in every replica and in every session,
// without a key. In another catalog the next page begins behind Path: nothing of what was skipped was offered, and
// it is asked about again.
type cursor struct {
	Version int    `json:"v"`
	Path    string `json:"p"`
	Skip    int    `json:"n,omitempty"`
	Of      string `json:"of,omitempty"`
}

const (
	cursorVersion = 1
	maxCursor     = 4096 // bytes
)

func (c cursor) String() string {
	text, _ := json.Marshal(c) // of texts and numbers
	return base64.RawURLEncoding.EncodeToString(text)
}

func readCursor(text string) (cursor, error) {
	var c cursor
	if text == "" {
		return c, nil
	}
	bad := fault.New(fault.Invalid, "bad_cursor", "the cursor is none of this gateway: list from the beginning")
	if len(text) > maxCursor {
		return c, bad
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return c, bad
	}
	if err := json.Unmarshal(decoded, &c); err != nil || c.Version != cursorVersion || c.Skip < 0 {
		return cursor{}, bad
	}
	return c, nil
}

// after returns the first entry behind a cursor.
func (x *index) after(c cursor) int {
	from := x.behind(c.Path)
	if c.Skip > 0 && c.Of == x.mark() {
		return from + min(c.Skip, len(x.entries)-from)
	}
	return from
}

// behind returns the first entry behind a path.
func (x *index) behind(path string) int {
	return sort.Search(len(x.entries), func(i int) bool { return x.entries[i].Path > path })
}

// mark tells catalogs apart in cursors. It is short, so that nobody learns from it what else a catalog holds: of 65,536
// guesses one is right by chance.
func (x *index) mark() string { return x.version[:4] }

// describe makes the tools of entries, in their order.
func (s *Service) describe(ctx context.Context, entries []*entry) ([]Tool, error) {
	tools := make([]Tool, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrent)
	for i, e := range entries {
		if known, ok := s.knownSchema(e); ok {
			tools[i] = known.tool(e)
			continue
		}
		group.Go(func() error {
			found, err := s.schema(ctx, e)
			if err == nil {
				tools[i] = found.tool(e)
			}
			return err
		})
	}
	return tools, group.Wait()
}

// Find returns the tool of a name: NotFound for one that is none of the caller's, whatever the reason.
func (s *Service) Find(ctx context.Context, caller edge.Caller, name string) (Tool, error) {
	x, err := s.catalog(ctx)
	if err != nil {
		return Tool{}, err
	}
	i, ok := x.names[name]
	if !ok { // it may be a new one
		if x, err = s.latest(ctx); err != nil {
			return Tool{}, err
		}
		if i, ok = x.names[name]; !ok {
			return Tool{}, errUnknownTool()
		}
	}
	known := s.known(caller, x)
	if _, err := s.ask(ctx, caller, known, i, i+1); err != nil {
		return Tool{}, err
	}
	if !known.allows(i) {
		return Tool{}, errUnknownTool()
	}
	e := &x.entries[i]
	found, err := s.schema(ctx, e)
	if err != nil {
		return Tool{}, err
	}
	return found.tool(e), nil
}

func errUnknownTool() error {
	return fault.New(fault.NotFound, "unknown_tool", "you have no tool of that name: list the tools again")
}
