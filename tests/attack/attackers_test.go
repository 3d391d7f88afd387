package attack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// again runs an attack on a connection of its own until ctx ends; an attacker that is thrown out comes back a second
// later.
func again(ctx context.Context, attack func(context.Context) error) {
	for ctx.Err() == nil {
		_ = attack(ctx) // it is thrown out in many ways
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// address gives each attacker one of its own.
func address(i int) string { return fmt.Sprintf("198.51.100.%d", i+1) }

func (t *target) dial(ctx context.Context, plain string, protocols ...string) (net.Conn, error) {
	if plain != "" {
		return (&net.Dialer{}).DialContext(ctx, "tcp", plain)
	}
	cfg := t.tls.Clone()
	cfg.NextProtos, cfg.ServerName = protocols, "127.0.0.1"
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", t.host)
}

// withhold sends a body but for its last byte and waits for the end of the connection.
func (t *target) withhold(ctx context.Context, i int, plain, path string) error {
	conn, err := t.dial(ctx, plain)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	head := fmt.Sprintf(
		"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\nContent-Type: "+
			"application/json\r\nContent-Length: %d\r\n\r\n",
		path,
		t.session,
		address(i),
		bodyBytes,
	)
	if _, err = io.WriteString(conn, head+`{"path":"`); err != nil {
		return err
	}
	answered := make(chan struct{}) // one that is refused has nothing more to gain
	go func() {
		defer close(answered)
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1))
	}()
	part := bytes.Repeat([]byte("x"), 64<<10)
	pace := time.NewTicker(linkPace)
	defer pace.Stop()
	for sent := len(`{"path":"`); sent < bodyBytes-1; {
		n, err := conn.Write(part[:min(len(part), bodyBytes-1-sent)])
		if sent += n; err != nil {
			return err
		}
		select {
		case <-pace.C:
		case <-answered:
			return nil
		}
	}
	<-answered
	return nil
}

// ignore asks for something and reads nothing of it.
func (t *target) ignore(ctx context.Context, i int, request string) error {
	conn, err := t.dial(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err = fmt.Fprintf(conn, request, t.session, address(i)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// ignoreStreams opens HTTP/2 streams with a window of zero, so that nothing of their answers can be sent.
func (t *target) ignoreStreams(ctx context.Context, i int) error {
	conn, err := t.dial(ctx, "", "h2")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if _, err = io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return err
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for stream := range uint32(20) {
		block.Reset()
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: t.host},
			{Name: ":path", Value: "/noetl/status"},
			{Name: "authorization", Value: "Bearer " + t.session},
			{Name: "x-forwarded-for", Value: address(i)},
		} {
			if err := enc.WriteField(f); err != nil {
				return err
			}
		}
		if err := framer.WriteHeaders(
			http2.HeadersFrameParam{
				StreamID:      2*stream + 1,
				BlockFragment: block.Bytes(),
				EndHeaders:    true,
				EndStream:     true,
			},
		); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// aliases asks for the same large answer many times in one operation.
func (t *target) aliases(ctx context.Context, i int) error {
	var query strings.Builder
	query.WriteString(`{"query":"mutation{`)
	for n := range 3 {
		fmt.Fprintf(&query, `a%d:proxyRequest(input:{method:\"GET\",endpoint:\"/api/status\"}){data} `, n)
	}
	query.WriteString(`}"}`)
	cfg := t.tls.Clone()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.public+"/graphql", strings.NewReader(query.String()))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.session)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", address(i))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// attacks are what is tried, each as one attacker among a hundred does it.
func attacks(t *target) []struct {
	name string
	do   func(ctx context.Context, i int) error
} {
	body := func(plain, path string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error { return t.withhold(ctx, i, plain, path) }
	}
	unread := func(path, more string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return t.ignore(
				ctx, i,
				"GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\n"+more+"\r\n",
			)
		}
	}
	return []struct {
		name string
		do   func(ctx context.Context, i int) error
	}{
		{"bodies of deliveries without their last byte", body("", "/ingress/orders")},
		{"bodies of GraphQL without their last byte", body("", "/graphql")},
		{"bodies of execute without their last byte", body("", "/noetl/execute")},
		{"bodies of logins without their last byte", body("", "/api/auth/login")},
		{"callbacks without their last byte", body(t.internal, "/api/internal/callback/async")},
		{"GraphQL with aliases of large answers", t.aliases},
		{"large answers that nobody reads", unread("/noetl/status", "")},
		{"HTTP/2 streams with a window of zero", t.ignoreStreams},
		{"event streams that nobody reads", unread("/events", "Accept: text/event-stream\r\n")},
	}
}
