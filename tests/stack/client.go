package stack

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Do sends a request. body is nil, a string (sent as JSON) or url.Values (a form); headers are
// name, value, name, value.
func Do(tb testing.TB, method, target string, body any, headers ...string) Answer {
	tb.Helper()
	a, err := Try(tb, method, target, body, headers...)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// Try is Do for calls that may fail.
func Try(tb testing.TB, method, target string, body any, headers ...string) (Answer, error) {
	tb.Helper()
	var reader io.Reader
	contentType := ""
	switch b := body.(type) {
	case string:
		reader, contentType = strings.NewReader(b), "application/json"
	case url.Values:
		reader, contentType = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, target, reader)
	if err != nil {
		tb.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := testkit.Client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return Answer{Code: resp.StatusCode, Header: resp.Header, Body: string(bytes.TrimSpace(answer))}, err
}

// Decode reads a JSON body.
func Decode[T any](tb testing.TB, a Answer) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		tb.Fatalf("%d %s: %v", a.Code, a.Body, err)
	}
	return v
}

// IDToken gets an ID token of a sandbox account from its issuer; extra are more form values.
func IDToken(tb testing.TB, issuer, user string, extra ...string) string {
	tb.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {"demo"}}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	a := Do(tb, http.MethodPost, issuer+"/token", form)
	token := Decode[struct {
		IDToken string `json:"id_token"`
	}](tb, a).IDToken
	if token == "" {
		tb.Fatalf("no token: %d %s", a.Code, a.Body)
	}
	return token
}

// Login logs a sandbox account in and returns the session token.
func Login(tb testing.TB, public, issuer, user string) string {
	tb.Helper()
	a := Do(tb, http.MethodPost, public+"/api/auth/login", `{"auth0_token":"`+IDToken(tb, issuer, user)+`"}`)
	token := Decode[struct {
		SessionToken string `json:"session_token"`
	}](tb, a).SessionToken
	if a.Code != http.StatusOK || token == "" {
		tb.Fatalf("login of %s: %d %s", user, a.Code, a.Body)
	}
	return token
}

// Started is what executePlaybook answers.
type Started struct {
	ExecutionID string `json:"executionId"`
	RequestID   string `json:"requestId"`
	Status      string `json:"status"`
}

// Execute starts a playbook for a client through GraphQL; variables is a JSON object.
func Execute(tb testing.TB, public, session, client, name, variables string) Started {
	tb.Helper()
	a := Do(
		tb, http.MethodPost, public+"/graphql", ExecuteBody(client, name, variables), "Authorization",
		"Bearer "+session,
	)
	reply := Decode[struct {
		Data   struct{ ExecutePlaybook Started }
		Errors []any
	}](tb, a)
	if a.Code != http.StatusOK || len(reply.Errors) > 0 || reply.Data.ExecutePlaybook.ExecutionID == "" {
		tb.Fatalf("executePlaybook %s: %d %s", name, a.Code, a.Body)
	}
	return reply.Data.ExecutePlaybook
}

// ExecuteBody is the GraphQL request of [Execute]; without a client it is fire-and-forget.
func ExecuteBody(client, name, variables string) string {
	id := "null"
	if client != "" {
		id = `"` + client + `"`
	}
	return `{"query":"mutation Run($name:String!,$variables:JSON,$clientId:String){executePlaybook(name:$name,` +
		`variables:$variables,clientId:$clientId){id executionId requestId name status textOutput}}",` +
		`"variables":{"name":"` + name + `","variables":` + variables + `,"clientId":` + id + `}}`
}
