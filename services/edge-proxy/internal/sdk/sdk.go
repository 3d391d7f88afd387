// Package sdk serves the client library for browsers at /sdk/v1/: the files that make builds from libs/client-js. A
// build that was made without npm has none, and says so.
package sdk

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

//go:embed all:assets
var built embed.FS

const (
	// prefix has the major version of the library: what is below it stays compatible.
	prefix = "/sdk/v1/"
	// latest is asked for again after an hour: a new version of the gateway may have another file at the same address.
	latest = "public, max-age=3600"
	// pinned never changes: its address has its hash.
	pinned = "public, max-age=31536000, immutable"
)

// file is one file of the library.
type file struct {
	body      []byte
	zipped    []byte
	media     string
	hash      string // hexadecimal, shortened
	integrity string // of Subresource Integrity
}

// Published says where a file is and what browsers may check it against.
type Published struct {
	URL       string `json:"url"`    // the file of the running version
	Pinned    string `json:"pinned"` // this file and no other
	Integrity string `json:"integrity"`
	Bytes     int    `json:"bytes"`
}

// Register adds the files to a mux. They are public: any page may load them, and they hold no secret.
func Register(mux *http.ServeMux) error {
	folder, err := fs.Sub(built, "assets")
	if err != nil {
		return err
	}
	return register(mux, folder)
}

func register(mux *http.ServeMux, folder fs.FS) error {
	files := map[string]file{}
	index := map[string]Published{}
	for name, media := range map[string]string{
		"gateway-client.js":   "text/javascript; charset=utf-8",
		"gateway-client.d.ts": "application/typescript; charset=utf-8",
		"react.js":            "text/javascript; charset=utf-8",
		"react.d.ts":          "application/typescript; charset=utf-8",
	} {
		body, err := fs.ReadFile(folder, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		sum := sha512.Sum384(body)
		f := file{
			body: body, zipped: zip(body), media: media, hash: hex.EncodeToString(sum[:8]),
			integrity: "sha384-" + base64.StdEncoding.EncodeToString(sum[:]),
		}
		files[name] = f
		index[name] = Published{
			URL: prefix + name, Pinned: prefix + f.hash + "/" + name, Integrity: f.integrity, Bytes: len(body),
		}
	}
	mux.HandleFunc("GET "+prefix+"integrity.json", func(w http.ResponseWriter, r *http.Request) {
		if len(index) == 0 {
			notBuilt(w, r)
			return
		}
		forAnyPage(w.Header())
		w.Header().Set("Cache-Control", "no-cache")
		httpkit.WriteJSON(w, http.StatusOK, index)
	})
	mux.HandleFunc("GET "+prefix+"{file}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, files, "", latest)
	})
	mux.HandleFunc("GET "+prefix+"{hash}/{file}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, files, r.PathValue("hash"), pinned)
	})
	return nil
}

func serve(w http.ResponseWriter, r *http.Request, files map[string]file, hash, caching string) {
	if len(files) == 0 {
		notBuilt(w, r)
		return
	}
	name := r.PathValue("file")
	f, found := files[name]
	if !found || (hash != "" && hash != f.hash) {
		httpkit.NotFound(w, r)
		return
	}
	h := w.Header()
	forAnyPage(h)
	h.Set("Content-Type", f.media)
	h.Set("Cache-Control", caching)
	h.Set("ETag", `"`+f.hash+`"`)
	if module, isModule := strings.CutSuffix(name, ".js"); isModule { // where an editor finds the types
		h.Set("X-TypeScript-Types", "./"+module+".d.ts")
	}
	h.Add("Vary", "Accept-Encoding")
	body := f.body
	if takesGzip(r) { // made once: the limit of the library is that of its gzip
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", `"`+f.hash+`-gzip"`)
		body = f.zipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// takesGzip reports whether a client takes gzip and wants the whole file: a range is one of the plain bytes.
func takesGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			return strings.TrimRight(weight, ".0") != "q="
		}
	}
	return false
}

func zip(body []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level exists, and a buffer takes everything
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}

// forAnyPage lets pages of all origins load a file. A listed origin has its own header already.
func forAnyPage(h http.Header) {
	if h.Get("Access-Control-Allow-Origin") == "" {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

func notBuilt(w http.ResponseWriter, r *http.Request) {
	httpkit.WriteError(r.Context(), w, fault.New(fault.NotFound, "sdk_not_built",
		"the client library is not part of this build, which was made without npm: run make build with npm installed"))
}
