package authwire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
)

func TestUserKeys(t *testing.T) {
	t.Parallel()
	key := authwire.UserKeyOf(authwire.NameOfID(7))
	if got, ok := authwire.ParseUserKey(key.String()); !ok || got != key {
		t.Errorf("%s is not read back", key)
	}
	for _, s := range []string{"", "user.", "user.x", authwire.NewToken("t").Key().String(), "user." + strings.Repeat(
		"g", 64,
	), key.String() + "0"} {
		if _, ok := authwire.ParseUserKey(s); ok {
			t.Errorf("%q is a user's key", s)
		}
	}
	if _, ok := authwire.ParseTokenKey(key.String()); ok {
		t.Error("a user's key is a token's too")
	}
	if authwire.NameOfEmail("A.B@Example.com") != authwire.NameOfEmail("a.b@example.COM") ||
		authwire.NameOfEmail("K@x") == authwire.NameOfEmail("\u212a@x") {
		t.Error("addresses compare in any case of ASCII, and only that")
	}
	if got := (authwire.User{UserID: 7, Email: "A@b"}).Names(); len(got) != 2 || got[0] != "id:7" ||
		got[1] != "email:a@b" {
		t.Errorf("%v", got)
	}
	if got := (authwire.User{}).Names(); len(got) != 0 {
		t.Errorf("nobody has the names %v", got)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"7": 7, `"7"`: 7, `" 9223372036854775807 "`: 9223372036854775807, "9223372036854775807": 9223372036854775807,
		"-1": -1, "null": 0,
	} {
		var in authwire.RevokeRequest
		if err := json.Unmarshal([]byte(`{"user_id":`+text+`}`), &in); err != nil || int64(in.UserID) != want {
			t.Errorf("%s: %d, %v", text, in.UserID, err)
		}
	}
	for _, text := range []string{"1.5", `"x"`, "true", "[]", "{}", "9223372036854775808", `""`} {
		var in authwire.RevokeRequest
		if err := json.Unmarshal([]byte(`{"user_id":`+text+`}`), &in); err == nil {
			t.Errorf("%s is %d", text, in.UserID)
		}
	}
}
