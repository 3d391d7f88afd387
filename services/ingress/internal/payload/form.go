package payload

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/multipart"
)

// maxParts bounds a multipart form, as the standard library does.
const maxParts = 1000

// form reads application/x-www-form-urlencoded from bytes whose text p is. A body without "=" is no form: it is what
// curl sends with -d and no type.
func form(p Payload, plain []byte, charset string, maxBytes int) Payload {
	if bytes.IndexByte(plain, '=') < 0 {
		return p
	}
	text := p.Text()
	fields := map[string]any{}
	for pair := range bytes.SplitSeq(plain, []byte("&")) {
		if len(pair) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		k, _ := toUTF8(unescape(name), charset, maxBytes)
		v, _ := toUTF8(unescape(value), charset, maxBytes)
		if k == nil || v == nil {
			p.Error = BadForm
			return p
		}
		add(fields, string(k), string(v))
	}
	return Payload{Data: fields, Raw: text, Error: p.Error, text: []byte(text)}
}

// unescape undoes percent-encoding; "%" without two digits stays (WHATWG URL, section 1.3).
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '+':
			out = append(out, ' ')
		case b[i] == '%' && i+2 < len(b) && digit(b[i+1]) < 16 && digit(b[i+2]) < 16:
			out = append(out, digit(b[i+1])<<4|digit(b[i+2]))
			i += 2
		default:
			out = append(out, b[i])
		}
	}
	return out
}

// digit returns the value of a hexadecimal digit, 16 for all else.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	default:
		return 16
	}
}

// add puts a value under a name; what is repeated becomes an array.
func add(fields map[string]any, name string, value any) {
	switch earlier := fields[name].(type) {
	case nil:
		fields[name] = value
	case []any:
		fields[name] = append(earlier, value)
	default:
		fields[name] = []any{earlier, value}
	}
}

// multipartForm reads multipart/form-data (RFC 7578). Files are base64 whatever they hold.
func multipartForm(plain []byte, boundary string) Payload {
	fields, files, err := parts(plain, boundary)
	if err != nil {
		return asTextOr64(plain, BadForm)
	}
	p := Payload{Data: fields, text: plain}
	switch {
	case !isText(plain):
		p.text = []byte(base64.StdEncoding.EncodeToString(plain))
	case !files:
		p.Raw = string(plain)
	}
	return p
}

// parts returns the fields, and whether there are files among them.
func parts(plain []byte, boundary string) (fields map[string]any, files bool, err error) {
	if boundary == "" {
		return nil, false, errors.New("no boundary")
	}
	fields = map[string]any{}
	r := multipart.NewReader(bytes.NewReader(plain), boundary)
	for range maxParts {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) && closed(plain, boundary) { // io.EOF is also what a body that was cut ends with
			return fields, files, nil
		}
		if err != nil {
			return nil, false, err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, false, err
		}
		value, isFile := partValue(part, content)
		if part.FormName() == "" || value == nil || !isText([]byte(part.FormName())) {
			return nil, false, errors.New("a part without a name")
		}
		files = files || isFile
		add(fields, part.FormName(), value)
	}
	return nil, false, errors.New("too many parts")
}

// closed reports that a body has the delimiter that ends it (RFC 2046, section 5.1.1).
func closed(plain []byte, boundary string) bool {
	end := []byte("--" + boundary + "--")
	return bytes.HasPrefix(plain, end) || bytes.Contains(plain, append([]byte("\n"), end...))
}

// partValue returns the text of a part, or an object for a file and for what is no text. Nil has headers that are none.
func partValue(part *multipart.Part, content []byte) (value any, file bool) {
	contentType, name := part.Header.Get("Content-Type"), part.FileName()
	_, params := mediaTypeOf(contentType)
	if name == "" {
		if text, _ := toUTF8(content, params["charset"], DefaultMaxBytes); text != nil {
			return string(text), false
		}
	}
	if !isText([]byte(contentType)) || !isText([]byte(name)) {
		return nil, false
	}
	object := map[string]any{"encoding": Base64, "data": base64.StdEncoding.EncodeToString(content)}
	if contentType != "" {
		object["content_type"] = contentType
	}
	if name != "" {
		object["filename"] = name
	}
	return object, true
}
