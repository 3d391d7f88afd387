package httpkit_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
)

const limit = 1 << 20

func sized(size int, extra string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n", size, extra)
}

// A body that stalls is cut within about ten seconds, however much of it came early, and whoever reads it: else a few
// connections that withhold one byte hold as many megabytes for minutes.
func TestABodyThatStallsIsCutWithinSeconds(t *testing.T) {
	unread := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for name, c := range map[string]struct {
		handler http.Handler
		size    int
		sent    int
		want    string
	}{
		"nothing comes":              {echo(limit), limit, 0, "408 closes"},
		"all but one byte":           {echo(limit), limit, limit - 1, "408 closes"},
		"one byte":                   {echo(limit), 2, 1, "408 closes"},
		"nobody reads what is small": {unread, 1000, 10, "401 closes"},
		"nobody reads what is large": {unread, limit, 10, "401 closes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := serve(t, c.handler, nil).dial("192.0.2.1")
				begin := time.Now()
				got := talk(t, client, sized(c.size, "")+strings.Repeat("x", c.sent))
				if took := time.Since(begin); !slices.Equal(got, []string{c.want}) || took > 20*time.Second {
					t.Errorf("%v after %v, want %s", got, took, c.want)
				}
			})
		})
	}
}

// An honest client on a slow line is served, a drip is not.
func TestABodyMustComeAtAPace(t *testing.T) {
	for perSecond, want := range map[int]string{20 << 10: "200", 2 << 10: "408 closes"} {
		synctest.Test(t, func(t *testing.T) {
			client := serve(t, echo(limit), nil).dial("192.0.2.1")
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.WriteString(client, sized(limit, ""))
				for sent := 0; sent < limit; sent += perSecond {
					<-time.After(time.Second) // the clock of the synctest bubble
					if _, err := client.Write(make([]byte, min(perSecond, limit-sent))); err != nil {
						return
					}
				}
				_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			}()
			if got := talk(t, client, ""); len(got) == 0 || got[0] != want {
				t.Errorf("%d bytes a second: %v", perSecond, got)
			}
			<-ended
		})
	}
}

// A gateway that waits for NoETL does not blame the client, whose body is there.
func TestOnlyWaitingForTheClientCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Minute) // the clock of the synctest bubble
			_, _ = r.Body.Read(make([]byte, 10))
			<-time.After(time.Minute) // likewise
			if rest, err := io.ReadAll(r.Body); err != nil || len(rest) != 90 {
				t.Errorf("%d bytes, %v", len(rest), err)
			}
			<-time.After(time.Minute) // the deadline went with the body
			w.WriteHeader(http.StatusNoContent)
		}), nil).dial("192.0.2.1")
		got := talk(t, client, sized(100, "Connection: close\r\n")+strings.Repeat("x", 100))
		if !slices.Equal(got, []string{"204 closes"}) {
			t.Errorf("%v", got)
		}
	})
}

// What cannot be parsed, or was not read, must not run as a request. The handlers are the ways to treat a body.
func TestTheRestOfABodyIsNoRequest(t *testing.T) {
	const next = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	chunked := func(chunks string) string {
		return "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + next
	}
	attacks := map[string]string{
		"bad chunk size":    chunked("zz\r\n"),
		"negative chunk":    chunked("-1\r\n"),
		"short chunk":       chunked("5\r\nabc\r\n0\r\n\r\n"),
		"23 digits":         chunked("00000000000000000000001\r\nx\r\n0\r\n\r\n"),
		"overflowing chunk": chunked("fffffffffffffffff\r\nx"),
		"bad trailer":       chunked("1\r\nx\r\n0\r\nno trailer\r\n\r\n"),
		"good chunks":       chunked("1\r\nx\r\n0\r\n\r\n"),
		"length and chunks": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next,
		"chunks of 1.0":  "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + next,
		"a large body":   sized(300<<10, "") + next,
		"other encoding": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + next,
		"an encoding thrice": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" +
			"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + next,
	}
	handlers := map[string]func(http.ResponseWriter, *http.Request){
		"reads":         func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) },
		"does not read": func(http.ResponseWriter, *http.Request) {},
		"closes":        func(_ http.ResponseWriter, r *http.Request) { _ = r.Body.Close() },
		"reads a little": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 1))
		},
		"full duplex": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.ReadAll(r.Body)
		},
		"full duplex, early": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = w.Write([]byte("early"))
			_, _ = io.ReadAll(r.Body)
		},
		"full duplex, unread": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
		},
	}
	for how, handle := range handlers {
		for what, text := range attacks {
			t.Run(how+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/smuggled" {
							t.Error("the rest of the body ran as a request")
						}
						handle(w, r)
					}), nil).dial("192.0.2.1")
					got := talk(t, client, text)
					if len(got) != 1 || !strings.HasSuffix(got[0], "closes") {
						t.Errorf("%v, want one answer that ends the connection", got)
					}
				})
			})
		}
	}
}

// A connection whose bodies end is used again.
func TestAGoodBodyKeepsItsConnection(t *testing.T) {
	for name, handle := range map[string]func(http.ResponseWriter, *http.Request){
		"read":     func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) },
		"not read": func(http.ResponseWriter, *http.Request) {},
		"full duplex": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.ReadAll(r.Body)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := serve(t, http.HandlerFunc(handle), nil).dial("192.0.2.1")
			got := talk(t, client, sized(5, "")+"hello"+sized(5, "Connection: close\r\n")+"hello")
			if !slices.Equal(got, []string{"200", "200 closes"}) {
				t.Errorf("%s: %v", name, got)
			}
		})
	}
}

// A client that asks and does not read must not hold its answer; one that reads slowly gets all of it.
func TestAnAnswerMustMakeProgress(t *testing.T) {
	const size = 256 << 10
	answer := func(end chan<- error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, size))
			end <- err
		})
	}
	const get = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	t.Run("stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			end := make(chan error, 1)
			client := serve(t, answer(end), nil).dial("192.0.2.1")
			begin := time.Now()
			_, _ = io.WriteString(client, get)
			if err := <-end; err == nil || time.Since(begin) > 11*time.Second {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			if _, err := client.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the connection is still there: %v", err)
			}
		})
	})
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			end := make(chan error, 1)
			client := serve(t, answer(end), nil).dial("192.0.2.1")
			_, _ = io.WriteString(client, get)
			in := bufio.NewReaderSize(&slowReader{client}, 4<<10)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if n != size || err != nil || <-end != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	})
}

// slowReader takes 1 KiB a second.
type slowReader struct{ net.Conn }

// Read implements io.Reader.
func (r *slowReader) Read(p []byte) (int, error) {
	<-time.After(time.Second) // the clock of the synctest bubble
	return r.Conn.Read(p[:min(len(p), 1<<10)])
}

// Streams have rules of their own: a deadline that a handler sets is the only one.
func TestAHandlersDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan error, 1)
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
			_, err = c.Write([]byte("hello"))
			end <- err
			_ = c.Close()
		}), nil).dial("192.0.2.1")
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		begin := time.Now()
		if err := <-end; err == nil || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// An early answer reaches a client that writes its whole body before it reads anything.
func TestAnEarlyAnswerReachesAClientThatStillSends(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"413": echo(limit),
		"401": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
		}),
		"429": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = r.Body.Read(make([]byte, 100))
			w.WriteHeader(http.StatusTooManyRequests)
		}),
	} {
		synctest.Test(t, func(t *testing.T) {
			client := serve(t, h, nil).dial("192.0.2.1")
			answer := make(chan string, 1)
			go func() { answer <- statusOf(client) }()
			if _, err := io.WriteString(client, sized(11<<20, "")); err != nil {
				t.Fatal(err)
			}
			if n, err := client.Write(make([]byte, 11<<20)); err != nil {
				t.Errorf("%s: cut after %d bytes: %v", name, n, err)
			}
			if got := <-answer; got != name {
				t.Errorf("%q, want %s", got, name)
			}
			_ = client.Close()
		})
	}
}

// Reading on has an end: in bytes, in time, and when the client falls silent.
func TestReadingOnAfterAnAnswerHasAnEnd(t *testing.T) {
	for name, send := range map[string]func(net.Conn) error{
		"silent": func(c net.Conn) error {
			_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
			<-time.After(30 * time.Second) // the clock of the synctest bubble
			_, err := c.Write([]byte("x"))
			return err
		},
		"drips": func(c net.Conn) (err error) {
			for begin := time.Now(); err == nil && time.Since(begin) < time.Minute; <-time.After(time.Second) {
				_, err = c.Write([]byte("x"))
			}
			return err
		},
		"endless": func(c net.Conn) (err error) {
			for sent := 0; err == nil && sent < 80<<20; sent += 1 << 20 {
				_, err = c.Write(make([]byte, 1<<20))
			}
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := serve(t, echo(1), nil).dial("192.0.2.1")
			go func() { _, _ = io.Copy(io.Discard, client) }()
			_, _ = io.WriteString(client, sized(1<<30, ""))
			if err := send(client); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: the connection is still read: %v", name, err)
			}
		})
	}
}

// Connections are bounded for each address and together; proxies, behind which are many clients, only together.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bounds(t, httpkit.BoundsConfig{Bodies: 1, BodiesPerAddress: 1, Connections: 8, ConnectionsPerAddress: 2})
		proxies, err := httpkit.ParseProxies([]string{"198.51.100.0/24"})
		if err != nil {
			t.Fatal(err)
		}
		l := serve(t, echo(limit), func(s *httpkit.Server) { s.Within(b, proxies) })
		lives := func(c net.Conn) bool {
			synctest.Wait()
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return !errors.Is(err, io.EOF)
		}
		var open []net.Conn
		for i, c := range []struct {
			from string
			ok   bool
		}{
			{"192.0.2.1", true},
			{"192.0.2.1", true},
			{"192.0.2.1", false},
			{"192.0.2.2", true},
			{"[2001:db8::1]", true},
			{"[2001:db8::2]", true},
			{"[2001:db8::3]", false}, // one /64
			{"198.51.100.1", true},
			{"198.51.100.1", true},
			{"127.0.0.1", true},
			{"192.0.2.3", false},
			{"127.0.0.1", false}, // together
		} {
			conn := l.dial(c.from)
			if got := lives(conn); got != c.ok {
				t.Errorf("connection %d, from %s: %v", i, c.from, got)
			}
			open = append(open, conn)
		}
		_ = open[0].Close() // its place is free again
		synctest.Wait()
		if !lives(l.dial("192.0.2.1")) {
			t.Error("a place is lost")
		}
	})
}
