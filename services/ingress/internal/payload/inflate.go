package payload

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Bounds of decompression: a body of a kilobyte must not cost as much as one of ten megabytes.
const (
	maxLayers   = 2
	maxRatio    = 100
	ratioFloor  = 1 << 20
	zstdWindow  = 8 << 20 // RFC 9659, section 3
	firstBuffer = 4 << 10
)

// errTooLarge is output beyond the bound; errTrailing is input beyond the end of a compressed stream.
var (
	errTooLarge = errors.New("too large")
	errTrailing = errors.New("bytes after the end")
)

// Inflate undoes a Content-Encoding, with the bounds of [Decode].
func Inflate(body []byte, encoding string, maxBytes int) ([]byte, bool) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	plain, code := inflate(body, encoding, maxBytes)
	return plain, code == ""
}

// inflate undoes a Content-Encoding, a list in the order of application (RFC 9110, section 8.4).
func inflate(body []byte, encoding string, maxBytes int) ([]byte, Code) {
	if encoding == "" {
		return body, ""
	}
	var layers []string
	for token := range strings.SplitSeq(strings.ToLower(encoding), ",") {
		switch token = strings.TrimSpace(token); token {
		case "", "identity", "utf-8", "utf8": // some senders put the charset there
		default:
			layers = append(layers, token)
		}
	}
	if len(layers) > maxLayers {
		return nil, TooManyEncodings
	}
	bound := min(maxBytes, max(ratioFloor, maxRatio*len(body)))
	for len(layers) > 0 && len(body) > 0 {
		var err error
		last := len(layers) - 1
		switch layers[last] {
		case "gzip", "x-gzip":
			body, err = unGzip(body, bound)
		case "deflate":
			body, err = unDeflate(body, bound)
		case "br":
			body, err = readAll(brotli.NewReader(bytes.NewReader(body)), bound)
		case "zstd":
			body, err = unZstd(body, bound)
		default:
			return nil, UnknownEncoding
		}
		if errors.Is(err, errTooLarge) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			return nil, TooLarge
		}
		if err != nil {
			return nil, CorruptEncoding
		}
		layers = layers[:last]
	}
	return body, ""
}

func unGzip(body []byte, bound int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return readAll(r, bound)
}

// unDeflate reads zlib, which deflate means, and raw deflate, which some senders mean (RFC 9110, section 8.4.1.2).
func unDeflate(body []byte, bound int) ([]byte, error) {
	in := bytes.NewReader(body)
	if r, err := zlib.NewReader(in); err == nil {
		out, err := readToEnd(r, in, bound)
		if err == nil || errors.Is(err, errTooLarge) {
			return out, err
		}
	}
	in.Reset(body)
	return readToEnd(flate.NewReader(in), in, bound)
}

func unZstd(body []byte, bound int) ([]byte, error) {
	r, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, bound)
}

func readToEnd(r io.Reader, in *bytes.Reader, bound int) ([]byte, error) {
	out, err := readAll(r, bound)
	if err == nil && in.Len() > 0 {
		return nil, errTrailing
	}
	return out, err
}

func readAll(r io.Reader, bound int) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(firstBuffer)
	n, err := out.ReadFrom(io.LimitReader(r, int64(bound)+1))
	if n > int64(bound) {
		return nil, errTooLarge
	}
	return out.Bytes(), err
}
