package stack

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

// IDToken gets an ID token of a sandbox account from its issuer; extra are more form values.
func IDToken(tb testing.TB, issuer, user string, extra ...string) string {
	tb.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {"demo"}}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	a := testkit.Do(tb, http.MethodPost, issuer+"/token", form)
	token := testkit.Decode[struct {
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
	a := testkit.Do(tb, http.MethodPost, public+"/api/auth/login", `{"auth0_token":"`+IDToken(tb, issuer, user)+`"}`)
	token := testkit.Decode[struct {
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
	a := testkit.Do(
		tb, http.MethodPost, public+"/graphql", ExecuteBody(client, name, variables), "Authorization",
		"Bearer "+session,
	)
	reply := testkit.Decode[struct {
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
