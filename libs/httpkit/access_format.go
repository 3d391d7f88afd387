package httpkit

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// json writes the line as the log in JSON has its lines.
func (l accessLine) json() []byte {
	line := struct {
		Time      time.Time `json:"time"`
		Level     string    `json:"level"`
		Message   string    `json:"msg"`
		Service   string    `json:"service"`
		Method    string    `json:"method"`
		Path      string    `json:"path"`
		Proto     string    `json:"proto"`
		Status    int       `json:"status"`
		Bytes     int64     `json:"bytes"`
		Duration  float64   `json:"duration_seconds"`
		Address   string    `json:"address,omitempty"`
		RequestID string    `json:"request_id,omitempty"`
		Agent     string    `json:"user_agent,omitempty"`
		User      string    `json:"user,omitempty"`
	}{
		Time: l.began.Add(l.took), Level: "INFO", Message: "access", Service: l.service, Method: l.method, Path: l.path,
		Proto: l.proto, Status: l.status, Bytes: l.bytes, Duration: l.took.Seconds(), RequestID: l.requestID,
		Agent: l.agent, User: l.user,
	}
	if l.address.IsValid() {
		line.Address = l.address.String()
	}
	text, err := json.Marshal(line)
	if err != nil {
		return nil // strings and numbers always encode
	}
	return append(text, '\n')
}

// combined writes the line in the combined format of Apache and NGINX.
func (l accessLine) combined() []byte {
	address := "-"
	if l.address.IsValid() {
		address = l.address.String()
	}
	b := make([]byte, 0, 256)
	b = append(b, address...)
	b = append(b, " - "...)
	b = appendToken(b, l.user)
	b = append(b, l.began.Format(" [02/Jan/2006:15:04:05 -0700] \"")...)
	b = appendEscaped(b, l.method+" "+l.path+" "+l.proto)
	b = append(b, "\" "...)
	b = strconv.AppendInt(b, int64(l.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, l.bytes, 10)
	b = append(b, " \""...)
	b = appendEscaped(b, orDash(l.referer))
	b = append(b, "\" \""...)
	b = appendEscaped(b, orDash(l.agent))
	return append(b, "\"\n"...)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// appendToken appends a field that ends with a space.
func appendToken(b []byte, text string) []byte {
	return appendEscaped(b, orDash(strings.ReplaceAll(text, " ", "_")))
}

// appendEscaped appends a text as Apache does: what could end the field or the line, or move a terminal, is \xHH.
func appendEscaped(b []byte, text string) []byte {
	const hex = "0123456789abcdef"
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\':
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
