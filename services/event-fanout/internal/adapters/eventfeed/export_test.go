package eventfeed

import "net/http"

// Through makes a source read through a transport in memory.
func (s *Source) Through(rt http.RoundTripper) *Source {
	s.transport = rt
	return s
}
