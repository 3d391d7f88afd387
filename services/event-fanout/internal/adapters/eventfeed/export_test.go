package eventfeed

import "net/http"

// PayloadOf is payloadOf.
func PayloadOf(record []byte) []byte { return payloadOf(record) }

// Through makes a source read through a transport in memory.
func (s *Source) Through(rt http.RoundTripper) *Source {
	s.transport = rt
	return s
}
