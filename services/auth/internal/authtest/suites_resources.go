package authtest

import (
	"context"
	"strconv"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Document is a resource of Firestore.
func Document(path string) auth.Resource {
	return auth.Resource{Source: auth.SourceFirestore, Path: path, Scope: auth.ScopeOwner, Pattern: "users/{user}/**"}
}

// RunResourceAuthority is the conformance suite of [auth.ResourceAuthority]. login opens a session of a user who may
// watch what Firestore has in users/<the user's id>, and nothing else.
func RunResourceAuthority(
	t *testing.T, newAuthority func(*testing.T) (a auth.ResourceAuthority, login func(*testing.T) auth.Opened),
) {
	t.Helper()
	t.Run("a user may watch what is granted and nothing else", func(t *testing.T) {
		a, login := newAuthority(t)
		opened := login(t)
		id := strconv.FormatInt(opened.Session.User.ID, 10)
		own := "users/" + id + "/notes"
		kv := Document(own)
		kv.Source = auth.SourceKV
		for name, c := range map[string]struct {
			resource auth.Resource
			want     bool
		}{
			"own":                  {Document(own), true},
			"own, a document":      {Document(own + "/1/parts/2"), true},
			"of another source":    {kv, false},
			"another's":            {Document("users/999999/notes"), false},
			"a longer id":          {Document("users/" + id + "2/notes"), false},
			"a shorter id":         {Document("users/" + id[1:] + "/notes"), false},
			"own, deeper":          {Document("all/" + own), false},
			"another collection's": {Document("user/" + id + "/notes"), false},
			"the placeholder":      {Document("users/{user_id}/notes"), false},
		} {
			d, err := a.Resource(
				t.Context(), auth.ResourceQuestion{Token: opened.Token, Session: opened.Session, Resource: c.resource},
			)
			if err != nil || d.Allowed != c.want {
				t.Errorf("%s, %s: %+v, %v", name, c.resource.Path, d, err)
			}
		}
	})
	t.Run("an ended context allows nothing that is not granted", func(t *testing.T) {
		a, login := newAuthority(t)
		opened := login(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d, err := a.Resource(ctx, auth.ResourceQuestion{
			Token: opened.Token, Session: opened.Session, Resource: Document("users/999999/notes"),
		})
		if d.Allowed {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

// LoginTo returns what opens sessions of the person of a grant.
func LoginTo(b auth.Backend, g auth.Grant) func(*testing.T) auth.Opened {
	return func(t *testing.T) auth.Opened {
		t.Helper()
		opened, err := b.Login(t.Context(), g)
		testkit.Must(t, err)
		return opened
	}
}
