package operatorwire

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// PackedStreams is a [StreamsResponse] of one replica on its way to edge-proxy. There may be a hundred thousand
// streams, and as JSON objects most of the time would go into their names. Rows holds a stream after the other, each
// ended by ";": client, user, address, session, transport, since, frames and bytes, with a space between. See [Pack].
type PackedStreams struct {
	Rows    string `json:"rows"`
	Count   int    `json:"count"`
	Replica string `json:"replica"`
	Next    string `json:"next,omitempty"`
	Total   int    `json:"total"`
}

// columns is how many a row has.
const columns = 8

// Pack packs a page. All streams are those of the replica.
func Pack(page StreamsResponse, replica string) PackedStreams {
	rows := make([]byte, 0, 200*len(page.Streams))
	for _, s := range page.Streams {
		for _, text := range []string{s.ClientID, s.User, s.Email, s.SessionID, s.Transport} {
			rows = append(append(rows, escape(text)...), ' ')
		}
		rows = append(strconv.AppendInt(rows, s.Since.UnixNano(), 10), ' ')
		rows = append(strconv.AppendInt(rows, int64(s.Frames), 10), ' ')
		rows = append(strconv.AppendInt(rows, int64(s.Bytes), 10), ';')
	}
	return PackedStreams{
		Rows: string(rows), Count: len(page.Streams), Replica: replica, Next: page.Next, Total: page.Total,
	}
}

var errBadRow = errors.New("operatorwire: a row of streams that cannot be read")

// Unpack is the inverse of [Pack].
func (p PackedStreams) Unpack() (StreamsResponse, error) {
	out := StreamsResponse{Next: p.Next, Total: p.Total}
	if p.Count < 0 || p.Count > MaxPage || strings.Count(p.Rows, ";") != p.Count {
		return out, errBadRow
	}
	out.Streams = make([]Stream, 0, p.Count)
	for rest := p.Rows; rest != ""; {
		var row string
		var ended bool
		if row, rest, ended = strings.Cut(rest, ";"); !ended {
			return out, errBadRow
		}
		s, err := unpack(row)
		if err != nil {
			return out, err
		}
		s.Replica = p.Replica
		out.Streams = append(out.Streams, s)
	}
	return out, nil
}

func unpack(row string) (s Stream, err error) {
	var cells [columns]string
	for i := range cells {
		var more bool
		if cells[i], row, more = strings.Cut(row, " "); more != (i < columns-1) {
			return s, errBadRow
		}
	}
	for i, to := range []*string{&s.ClientID, &s.User, &s.Email, &s.SessionID, &s.Transport} {
		if *to, err = unescape(cells[i]); err != nil {
			return s, errBadRow
		}
	}
	since, err1 := strconv.ParseInt(cells[5], 10, 64)
	frames, err2 := strconv.ParseInt(cells[6], 10, 32)
	size, err3 := strconv.ParseInt(cells[7], 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return s, errBadRow
	}
	s.Since, s.Frames, s.Bytes = time.Unix(0, since).UTC(), int(frames), int(size)
	return s, nil
}

// escape returns a text as it is if it needs no escape in rows nor in JSON, and else % and its escaped form.
func escape(text string) string {
	for i := range len(text) {
		c := text[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
			c == '@' || c == '.' || c == ':' || c == '-' || c == '_' || c == '+'
		if !plain {
			return "%" + url.QueryEscape(text)
		}
	}
	return text
}

func unescape(text string) (string, error) {
	if escaped, ok := strings.CutPrefix(text, "%"); ok {
		return url.QueryUnescape(escaped)
	}
	return text, nil
}
