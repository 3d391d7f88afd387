package webhook

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

type field uint8

const (
	literal field = iota
	fieldBody
	fieldMethod
	fieldURL
	fieldForm
	fieldID
	fieldTimestamp
	fieldSecret
	fieldCRC32
	fieldSNS
	fieldPlace
)

// part of a template: a text, or a field.
type part struct {
	field field
	text  string
	place place
}

type template []part

// parseTemplate compiles a template such as "{id}.{timestamp}.{body}".
func parseTemplate(text string) (template, error) {
	var t template
	for text != "" {
		before, rest, more := strings.Cut(text, "{")
		if before != "" {
			t = append(t, part{text: before})
		}
		if !more {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("the signed string has a { without a }")
		}
		p, err := parseField(name)
		if err != nil {
			return nil, err
		}
		t, text = append(t, p), after
	}
	if len(t) == 0 {
		return nil, errors.New("the scheme does not say what is signed")
	}
	return t, nil
}

func parseField(name string) (part, error) {
	switch name {
	case "body":
		return part{field: fieldBody}, nil
	case "method":
		return part{field: fieldMethod}, nil
	case "url":
		return part{field: fieldURL}, nil
	case "form":
		return part{field: fieldForm}, nil
	case "id":
		return part{field: fieldID}, nil
	case "timestamp":
		return part{field: fieldTimestamp}, nil
	case "secret":
		return part{field: fieldSecret}, nil
	case "crc32":
		return part{field: fieldCRC32}, nil
	case "sns":
		return part{field: fieldSNS}, nil
	}
	p, err := parsePlace(name)
	if err != nil {
		return part{}, fmt.Errorf("{%s} is no field of the signed string", name)
	}
	return part{field: fieldPlace, text: name, place: p}, nil
}

func (t template) uses(f field) bool {
	for _, p := range t {
		if p.field == f {
			return true
		}
	}
	return false
}

// values fill a template in.
type values struct {
	request                       *Request
	url, form, id, timestamp, sns string
	secret                        string
	places                        []string // one for each part, empty for those of another kind
}

// write writes the signed string.
func (t template) write(w io.Writer, v *values) {
	for i, p := range t {
		switch p.field {
		case literal:
			_, _ = io.WriteString(w, p.text)
		case fieldBody:
			_, _ = w.Write(v.request.Body)
		case fieldMethod:
			_, _ = io.WriteString(w, v.request.Method)
		case fieldURL:
			_, _ = io.WriteString(w, v.url)
		case fieldForm:
			_, _ = io.WriteString(w, v.form)
		case fieldID:
			_, _ = io.WriteString(w, v.id)
		case fieldTimestamp:
			_, _ = io.WriteString(w, v.timestamp)
		case fieldSecret:
			_, _ = io.WriteString(w, v.secret)
		case fieldCRC32:
			_, _ = io.WriteString(w, strconv.FormatUint(uint64(crc32.ChecksumIEEE(v.request.Body)), 10))
		case fieldSNS:
			_, _ = io.WriteString(w, v.sns)
		case fieldPlace:
			_, _ = io.WriteString(w, v.places[i])
		}
	}
}

// snsString is the canonical form of a message of Amazon SNS (Amazon SNS, "Verifying the signatures of Amazon SNS
// messages"): the signed members in the order of their names, each name and value on a line of its own.
func snsString(r *reader) string {
	member := func(name string) (string, bool) { return r.get(place{kind: inJSON, name: name, path: []string{name}}) }
	names := []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	if kind, _ := member("Type"); kind == snsNotification {
		names = []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	}
	var b strings.Builder
	for _, name := range names {
		value, ok := member(name)
		if !ok || value == "" && name == "Subject" {
			continue
		}
		b.WriteString(name)
		b.WriteByte('\n')
		b.WriteString(value)
		b.WriteByte('\n')
	}
	return b.String()
}
