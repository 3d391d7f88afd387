package noetl

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/fault"
)

// Credential returns the secret that a credential of NoETL holds: GET /api/credentials/{name}?include_data=true.
// NotFound means that NoETL has none of that name; Unavailable with code internal_token_unset that this gateway may
// not ask. The secret is where NoETL looks for a listener's (contract, section 9): the data itself if it is a text, or
// its member secret, token, value, key or password, the first that is a text.
func (c *Client) Credential(ctx context.Context, name string) (string, error) {
	if c.token == "" {
		return "", fault.New(
			fault.Unavailable, "internal_token_unset",
			"credentials are not asked for: NOETL_INTERNAL_API_TOKEN is not set",
		)
	}
	if name == "" || name == "." || name == ".." { // the question must not go to another route
		return "", fault.New(fault.NotFound, "noetl_404", "there is no such credential")
	}
	var out struct {
		Data json.RawMessage `json:"data"`
	}
	path := "/api/credentials/" + url.PathEscape(name) + "?include_data=true"
	if err := c.Do(ctx, http.MethodGet, path, nil, &out); err != nil {
		return "", err
	}
	if secret := secretOf(out.Data); secret != "" {
		return secret, nil
	}
	return "", fault.New(fault.BadGateway, "noetl_bad_answer",
		"the credential holds no text, nor one in secret, token, value, key or password")
}

func secretOf(data json.RawMessage) string {
	var text string
	if json.Unmarshal(data, &text) == nil {
		return text
	}
	var members map[string]any
	if json.Unmarshal(data, &members) != nil {
		return ""
	}
	for _, name := range []string{"secret", "token", "value", "key", "password"} {
		if text, ok := members[name].(string); ok {
			return text
		}
	}
	return ""
}
