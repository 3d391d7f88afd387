package proxy

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// How long a stream waits for event-fanout to come back, and how often it looks.
const (
	streamPatience = 10 * time.Second
	streamLook     = 250 * time.Millisecond
)

// WaitForRestart is a transport to event-fanout that waits a while for a replica that restarts before it refuses an
// event stream: a browser's EventSource that is answered with any status but 200 never comes back (WHATWG HTML,
// section 9.2.3), and its page hangs.
type WaitForRestart struct {
	Next http.RoundTripper
	For  time.Duration // 0 is 10 s
}

var _ http.RoundTripper = WaitForRestart{}

// RoundTrip implements http.RoundTripper.
func (p WaitForRestart) RoundTrip(r *http.Request) (*http.Response, error) {
	bodiless := r.Body == nil || r.Body == http.NoBody // a body could be sent once only
	if r.Method != http.MethodGet || r.URL.Path != "/events" || !bodiless {
		return p.Next.RoundTrip(r)
	}
	patience := p.For
	if patience == 0 {
		patience = streamPatience
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		resp, err := p.Next.RoundTrip(r)
		if !restarting(resp, err) || r.Context().Err() != nil {
			return resp, err
		}
		look := time.NewTimer(streamLook/2 + rand.N(streamLook)) //nolint:gosec // spreads load, guards nothing
		select {
		case <-look.C:
		case <-end.C:
			look.Stop()
			return resp, err
		case <-r.Context().Done():
			look.Stop()
			return resp, err
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
	}
}

// restarting reports whether no replica could be asked, or one that is about to end: it closes the
// connection after its answer.
func restarting(resp *http.Response, err error) bool {
	return err != nil || (resp.StatusCode == http.StatusServiceUnavailable && resp.Close)
}
