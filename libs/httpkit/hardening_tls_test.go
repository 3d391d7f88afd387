package httpkit_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
)

// secure makes a client and a server speak TLS with each other. The client trusts every certificate.
func secure(t *testing.T, protocols ...string) (server, client *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	files := httpkit.TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	writePair(t, files, "gateway", time.Now())
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		&tls.Config{InsecureSkipVerify: true, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// An early answer reaches a client over TLS that writes its whole body before it reads anything.
func TestAnEarlyAnswerReachesAClientThatStillSendsOverTLS(t *testing.T) {
	server, config := secure(t, "http/1.1")
	synctest.Test(t, func(t *testing.T) {
		l := serve(t, echo(limit), func(s *httpkit.Server) { s.WithTLS(server) })
		raw := newBuffered(l.dial("192.0.2.1"))
		client := tls.Client(raw, config)
		answer := make(chan string, 1)
		if _, err := io.WriteString(client, sized(11<<20, "")); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Write(make([]byte, 11<<20)); err != nil {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
		go func() {
			answer <- statusOf(client)
		}()
		if got := <-answer; got != "413" {
			t.Errorf("%q", got)
		}
		_ = client.Close()
	})
}

// buffered reads a pipe ahead, as a kernel does, so that its peer can write while nobody reads.
type buffered struct {
	net.Conn
	ahead chan []byte
	left  []byte
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, ahead: make(chan []byte, 1000)}
	go func() {
		defer close(b.ahead)
		for {
			p := make([]byte, 32<<10)
			n, err := c.Read(p)
			if err != nil {
				return
			}
			b.ahead <- p[:n]
		}
	}()
	return b
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		next, ok := <-b.ahead
		if !ok {
			return 0, io.EOF
		}
		b.left = next
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// frames of HTTP/2 (RFC 9113, section 6).
const (
	frameHeaders, frameReset, frameSettings, frameData = 1, 3, 4, 0
	flagEndHeaders, flagEndStream, flagAck             = 4, 1, 1
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	return append(b, payload...)
}

// A client of HTTP/2 that reads its connection and gives a stream no room holds its answer for ten seconds, not
// forever, however large the answer is.
func TestAnHTTP2WindowOfZeroEndsItsStream(t *testing.T) {
	server, config := secure(t, "h2")
	for _, size := range []int{10, 1 << 20} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done := make(chan error, 1)
				l := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, err := w.Write(make([]byte, size))
					done <- err
				}), func(s *httpkit.Server) { s.WithTLS(server) })
				raw := newBuffered(l.dial("192.0.2.1"))
				client := tls.Client(raw, config)
				begin := time.Now()
				const noWindow = "\x00\x04\x00\x00\x00\x00" // SETTINGS_INITIAL_WINDOW_SIZE 0
				hello := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
				hello = append(hello, frame(frameSettings, 0, 0, []byte(noWindow))...)
				headers := append([]byte{0x82, 0x87, 0x84, 0x41, 1}, 'x') // GET https / x
				hello = append(hello, frame(frameHeaders, flagEndHeaders|flagEndStream, 1, headers)...)
				if _, err := client.Write(hello); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(client)
				kinds := []byte{}
				for {
					head := make([]byte, 9)
					if _, err := io.ReadFull(in, head); err != nil {
						t.Fatalf("%v after %v and %v", err, kinds, time.Since(begin))
					}
					_, _ = io.CopyN(io.Discard, in, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
					kinds = append(kinds, head[3])
					if head[3] == frameSettings && head[4]&flagAck == 0 {
						_, _ = client.Write(frame(frameSettings, flagAck, 0, nil))
					}
					if head[3] == frameReset {
						break
					}
				}
				if took := time.Since(begin); took > 11*time.Second || slices.Contains(kinds, frameData) {
					t.Errorf("reset after %v and frames %v", took, kinds)
				}
				if err := <-done; size > 4<<10 && err == nil {
					t.Error("the handler was told that all was written")
				}
				_ = raw.Close()
			})
		})
	}
}

// Over HTTP/2 too a body that stalls is cut, a gateway that is slow to read cuts nothing, and an event stream may be
// silent.
func TestHTTP2BodiesHaveThePace(t *testing.T) {
	server, config := secure(t)
	synctest.Test(t, func(t *testing.T) {
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-time.After(time.Minute) // the clock of the synctest bubble
			}
			body, err := httpkit.ReadBody(r, limit)
			if err != nil {
				httpkit.WriteError(r.Context(), w, err)
				return
			}
			flusher, _ := w.(http.Flusher)
			flusher.Flush()
			<-time.After(time.Minute) // likewise
			_, _ = w.Write(body)
		})
		l := serve(t, slow, func(s *httpkit.Server) { s.WithTLS(server) })
		transport := &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: config,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return newBuffered(l.dial("192.0.2.1")), nil
			},
		}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for path, c := range map[string]struct {
			body   io.Reader
			status int
		}{
			"/":        {bytes.NewReader(make([]byte, 300<<10)), 200},
			"/slow":    {bytes.NewReader(make([]byte, 300<<10)), 200},
			"/stalled": {io.MultiReader(bytes.NewReader(make([]byte, 300<<10)), never{time.Hour}), 408},
		} {
			resp, err := client.Post("https://gateway"+path, "text/plain", c.body) //nolint:noctx // a test's
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != c.status || resp.ProtoMajor != 2 || err != nil || c.status == 200 && n != 300<<10 {
				t.Errorf("%s: %s %s, %d bytes, %v", path, resp.Proto, resp.Status, n, err)
			}
			_ = resp.Body.Close()
		}
	})
}

// never is a body whose end does not come.
type never struct{ after time.Duration }

// Read implements io.Reader.
func (n never) Read([]byte) (int, error) {
	<-time.After(n.after) // the clock of the synctest bubble
	return 0, errors.New("too late")
}
