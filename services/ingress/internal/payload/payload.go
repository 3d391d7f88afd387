// Package payload reads the body of a delivery. A body is bytes: what its headers say about compression, charset and
// form is undone, and what is no text becomes base64. No byte is lost or replaced: a body that cannot be decoded is
// handed on as it came, with a code that says why, because its delivery is genuine.
package payload

import (
	"encoding/base64"
	"errors"
	"mime"
)

// DefaultMaxBytes bounds a body after its compression and charset are undone.
const DefaultMaxBytes = 32 << 20

// Base64 is the encoding of a body that is no text.
const Base64 = "base64"

// Code says why a body could not be decoded as its headers ask.
type Code string

// The codes.
const (
	UnknownEncoding  Code = "unknown_encoding"   // Content-Encoding names something else than gzip, deflate, br or zstd
	TooManyEncodings Code = "too_many_encodings" // more than two
	CorruptEncoding  Code = "corrupt_encoding"   // the bytes are not what Content-Encoding says
	TooLarge         Code = "inflated_too_large" // a bomb, or too large for a workload
	UnknownCharset   Code = "unknown_charset"
	BadCharset       Code = "bad_charset" // bytes that the charset does not have
	BadForm          Code = "bad_form"    // a form that cannot be taken apart
)

// Content is what a sender says about its body: the values of the headers Content-Type and Content-Encoding.
type Content struct {
	Type     string
	Encoding string
}

// Payload is a body, read.
type Payload struct {
	// Data is JSON with its numbers untouched (json.Number), the fields of a form, or a string; nil without a body.
	Data any
	// Encoding is [Base64] if Data is base64, else empty.
	Encoding string
	// Raw is the text of a form; empty for one that holds files.
	Raw string
	// Error is empty if the body was read as its headers ask. Otherwise Data is the text as it came, or base64.
	Error Code

	text []byte // in UTF-8; nil if Data is the text
}

// Text returns the body as text: decoded, or in base64 if it is none.
func (p Payload) Text() string {
	if s, ok := p.Data.(string); ok && p.text == nil {
		return s
	}
	return string(p.text)
}

// Size returns the length of the text in bytes.
func (p Payload) Size() int {
	if s, ok := p.Data.(string); ok && p.text == nil {
		return len(s)
	}
	return len(p.text)
}

// Decode reads a body. maxBytes bounds it after decompression; 0 stands for [DefaultMaxBytes]. The result may share
// memory with the body. It takes time and memory in proportion to the body and maxBytes.
func Decode(c Content, body []byte, maxBytes int) Payload {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	plain, code := inflate(body, c.Encoding, maxBytes)
	if code != "" {
		// A proxy that decompresses a body and keeps its header is common: text stays text.
		return asTextOr64(body, code)
	}
	if len(plain) == 0 {
		return Payload{}
	}
	mediaType, params := mediaTypeOf(c.Type)
	if mediaType == "multipart/form-data" {
		return multipartForm(plain, params["boundary"])
	}
	text, code := toUTF8(plain, params["charset"], maxBytes)
	if text == nil {
		return in64(plain, code)
	}
	p := asText(text, code)
	if _, isText := p.Data.(string); isText && mediaType == "application/x-www-form-urlencoded" {
		return form(p, plain, params["charset"], maxBytes)
	}
	return p
}

// mediaTypeOf reads a Content-Type. One that is malformed says nothing; the type counts if only a parameter is.
func mediaTypeOf(contentType string) (string, map[string]string) {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return "", nil
	}
	return mediaType, params
}

// asText reads text: JSON if it is some.
func asText(text []byte, code Code) Payload {
	if v, ok := parseJSON(text); ok {
		return Payload{Data: v, Error: code, text: text}
	}
	return Payload{Data: string(text), Error: code}
}

func asTextOr64(body []byte, code Code) Payload {
	if isText(body) {
		return asText(body, code)
	}
	return in64(body, code)
}

func in64(body []byte, code Code) Payload {
	return Payload{Data: base64.StdEncoding.EncodeToString(body), Encoding: Base64, Error: code}
}
