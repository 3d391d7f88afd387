package httpapi

import (
	"net/http"
	"strings"
	"sync"

	"github.com/noetl/gateway/libs/httpkit"
)

// Bounds of what is remembered of requests: beyond one of them the oldest go.
const (
	maxRequests     = 10_000
	maxRequestBytes = 8 << 20
)

// request is a request that reached the NoETL API: what the edge let through.
type request struct {
	Seq    uint64 `json:"seq"`
	Method string `json:"method"`
	Path   string `json:"path"` // as it was sent
	Query  string `json:"query"`
}

func (r request) size() int { return len(r.Method) + len(r.Path) + len(r.Query) + 64 }

// requests remembers the latest. It is safe for concurrent use.
type requests struct {
	mu    sync.Mutex
	list  []request // oldest first
	bytes int
	last  uint64
}

// note remembers a request of the NoETL API.
func (l *requests) note(r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/api" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	one := request{l.last, r.Method, r.URL.EscapedPath(), r.URL.RawQuery}
	l.list = append(l.list, one)
	l.bytes += one.size()
	for len(l.list) > maxRequests || l.bytes > maxRequestBytes {
		l.bytes -= l.list[0].size()
		l.list[0] = request{}
		l.list = l.list[1:]
	}
}

// serve lists the requests after ?since=, or forgets them all.
func (l *requests) serve(w http.ResponseWriter, r *http.Request) {
	since := unsigned(r.URL.Query().Get("since"))
	l.mu.Lock()
	if r.Method == http.MethodDelete {
		l.list, l.bytes = nil, 0
	}
	found := []request{}
	for _, one := range l.list {
		if one.Seq > since {
			found = append(found, one)
		}
	}
	last := l.last
	l.mu.Unlock()
	httpkit.WriteJSON(w, http.StatusOK, map[string]any{"requests": found, "last": last})
}
