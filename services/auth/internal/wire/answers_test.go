package wire_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// record builds a session record around some members.
func record(members string) []byte {
	return []byte(
		`{"session_token":"tok","email":"a@b","is_active":true,"expires_at":"2099-01-01T00:00:00Z",` + members + `}`,
	)
}

func TestRecordTakesEveryShapeOfAnID(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int64{
		`7`: 7, `"7"`: 7, `9223372036854775807`: 9223372036854775807, `"9007199254740993"`: 9007199254740993,
		`null`: 0, `""`: 0,
	} {
		if r, err := wire.Record(authwire.NewToken("tok"), record(`"user_id":`+raw)); err != nil ||
			r.Session.User.ID != want {
			t.Errorf("%s: %d, %v", raw, r.Session.User.ID, err)
		}
	}
	for _, raw := range []string{`1.5`, `"abc"`, `true`, `{}`, `9223372036854775808`, `1e3`} {
		if _, err := wire.Record(
			authwire.NewToken("tok"), record(`"user_id":`+raw),
		); !errors.Is(err, auth.ErrMalformed) {
			t.Errorf("%s was taken for an id: %v", raw, err)
		}
	}
}

func TestRecordTakesEveryShapeOfRoles(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		`["admin","viewer"]`: {"admin", "viewer"}, `"[\"admin\",\"viewer\"]"`: {"admin", "viewer"},
		`"{admin,viewer}"`: {"admin", "viewer"},
		`"{\"data owner\",NULL,\"a\\\"b\\\\c\",\"NULL\"}"`: {"data owner", `a"b\c`, "NULL"}, `"admin"`: {"admin"},
		`"{}"`: nil, `[]`: nil, `null`: nil, `""`: nil, `"[broken"`: nil, `"{{a},{b}}"`: nil, `"{\"open}"`: nil,
		`[1,null,"x"]`: {"x"}, `7`: nil, `{"a":1}`: nil,
	} {
		r, err := wire.Record(authwire.NewToken("tok"), record(`"roles":`+raw))
		if diff := cmp.Diff(want, r.Session.User.Roles); err != nil || diff != "" {
			t.Errorf("%s: %v %s", raw, err, diff)
		}
	}
}

func TestRecordTakesEveryShapeOfATime(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"2026-01-28T22:11:41.335589Z":   "2026-01-28T22:11:41.335589Z",
		"2026-01-28T22:11:41+02:00":     "2026-01-28T20:11:41Z",
		"2026-01-28 22:11:41.335589+00": "2026-01-28T22:11:41.335589Z",
		"2026-01-28 22:11:41+02":        "2026-01-28T20:11:41Z",
		"2026-01-28 22:11:41-0330":      "2026-01-29T01:41:41Z",
		"2026-01-28 22:11:41.5+05:30":   "2026-01-28T16:41:41.5Z",
		"2026-01-28T22:11:41":           "2026-01-28T22:11:41Z",
		"2026-01-28 22:11:41.335589":    "2026-01-28T22:11:41.335589Z",
	} {
		r, err := wire.Record(authwire.NewToken("tok"), []byte(`{"user_id":1,"is_active":true,"expires_at":"`+raw+`"}`))
		if err != nil || !r.Session.ExpiresAt.Equal(at(want)) {
			t.Errorf("%s: %s, %v", raw, r.Session.ExpiresAt, err)
		}
	}
	for _, raw := range []string{`"soon"`, `17`, `"2026-13-01T00:00:00Z"`, `null`, `""`, `"infinity"`} {
		if _, err := wire.Record(
			authwire.NewToken("tok"), []byte(`{"user_id":1,"is_active":true,"expires_at":`+raw+`}`),
		); !errors.Is(err, auth.ErrMalformed) {
			t.Errorf("a live record that ends at %s was taken: %v", raw, err)
		}
	}
}

func TestRecordIsEndedOnlyByAClearNo(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		`true`: true, `"True"`: true, `"true"`: true, `false`: false, `"False"`: false, `" false "`: false,
	} {
		r, err := wire.Record(
			authwire.NewToken("tok"), []byte(`{"user_id":1,"expires_at":"2099-01-01T00:00:00Z","is_active":`+raw+`}`),
		)
		if err != nil || r.Active != want {
			t.Errorf("%s: %t, %v", raw, r.Active, err)
		}
	}
	for _, raw := range []string{`1`, `"yes"`, `{}`} {
		if _, err := wire.Record(
			authwire.NewToken("tok"),
			[]byte(`{"user_id":1,"expires_at":"2099-01-01T00:00:00Z","is_active":`+raw+`}`),
		); err == nil {
			t.Errorf("is_active %s was taken", raw)
		}
	}
	if _, err := wire.Record(authwire.NewToken("other"), record(`"user_id":1`)); err == nil {
		t.Error("another token's record was taken")
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	want := auth.Record{
		Active: true,
		Session: auth.Session{
			User:      auth.User{ID: 1 << 60, Email: "a@b", DisplayName: "Ä", Roles: []string{"x y"}},
			ExpiresAt: at("2026-01-28T22:11:41.335589Z"),
		},
	}
	value, err := wire.EncodeRecord(authwire.NewToken("tok"), want)
	if err != nil {
		t.Fatal(err)
	}
	const golden = `{"session_token":"tok","user_id":1152921504606846976,"email":"a@b","display_name":"Ä","expires_at":"2026-01-28T22:11:41.335589Z","is_active":true,"roles":["x y"]}`
	if string(value) != golden {
		t.Errorf("the record is written as %s", value)
	}
	got, err := wire.Record(authwire.NewToken("tok"), value)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
}

func TestLoginAnswers(t *testing.T) {
	t.Parallel()
	const user = `"user":{"user_id":"7","email":"a@b","display_name":"A","roles":"{x}"}`
	for name, tc := range map[string]struct {
		body string
		kind fault.Kind
		ok   bool
	}{
		"plain": {
			`{"status":"success","data":{"status":"authenticated","session_token":"t",` + user + `,"expires_at":"2099-01-01T00:00:00Z"}}`,
			0, true,
		},
		"no callback status": {
			`{"data":{"status":"authenticated","session_token":"t",` + user + `,"expires_at":"2099-01-01T00:00:00Z"}}`,
			0, true,
		},
		"data in a string": {
			`{"status":"success","data":"{\"status\":\"authenticated\",\"session_token\":\"t\",\"user\":{\"email\":\"a@b\"},\"expires_at\":\"2099-01-01 00:00:00\"}"}`,
			0, true,
		},
		"refused": {`{"status":"error","data":{"error":"user is locked"}}`, fault.Unauthenticated, false},
		"refused inside": {
			`{"status":"success","data":{"status":"error","message":"user is locked"}}`, fault.Unauthenticated, false,
		},
		"status of no text": {
			`{"status":true,"data":{"session_token":"t",` + user + `,"expires_at":"2099-01-01T00:00:00Z"}}`,
			fault.Unauthenticated, false,
		},
		"no token": {
			`{"status":"success","data":{"status":"authenticated",` + user + `,"expires_at":"2099-01-01T00:00:00Z"}}`,
			fault.Unavailable, false,
		},
		"no user": {
			`{"status":"success","data":{"session_token":"t","expires_at":"2099-01-01T00:00:00Z"}}`,
			fault.Unavailable, false,
		},
		"empty user": {
			`{"status":"success","data":{"session_token":"t","user":{},"expires_at":"2099-01-01T00:00:00Z"}}`,
			fault.Unavailable, false,
		},
		"no end": {
			`{"status":"success","data":{"session_token":"t",` + user + `}}`, fault.Unavailable, false,
		},
		"bad end": {
			`{"status":"success","data":{"session_token":"t",` + user + `,"expires_at":"later"}}`, fault.Unavailable,
			false,
		},
		"data is a list": {`{"status":"success","data":[]}`, fault.Unavailable, false},
		"empty":          {`{}`, fault.Unavailable, false},
		"no object":      {`"yes"`, fault.Unavailable, false},
		"null":           {`null`, fault.Unavailable, false},
		"no JSON":        {`<html>`, fault.Unavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := wire.CallbackAnswer([]byte(tc.body))
			var opened auth.Opened
			if err == nil {
				opened, err = a.Opened(true)
			}
			kind, failed := fault.KindOf(err)
			if failed == tc.ok || failed && kind != tc.kind {
				t.Fatalf("got %+v, %v", opened.Session, err)
			}
			if tc.ok && (opened.Token.Reveal() != "t" || opened.Session.User.Email != "a@b") {
				t.Fatalf("got %+v", opened.Session)
			}
		})
	}
}

// A route of NoETL's answers an outage of its database as it answers a refusal, but for the words. The
// answers are those of server 3.54.
func TestLoginAnswersOfTheRoute(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]fault.Kind{
		`{"status":"error","data":{"error":"Invalid JWT format","message":"Token validation failed"}}`: fault.Unauthenticated,
		`{"status":"error","data":{"error":"Database error","message":"Failed to create session"}}`:    fault.Unavailable,
		`{"status":"error","data":{}}`:                   fault.Unavailable,
		`{"status":"error","error":"pool timed out"}`:    fault.Unavailable,
		`{"status":"success","data":{"status":"error"}}`: fault.Unauthenticated,
	} {
		a, err := wire.RouteAnswer([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Opened(false)
		if f := fault.Of(err); f.Kind != want || (want == fault.Unavailable) != (f.RetryAfter > 0) {
			t.Errorf("%s: %v", body, err)
		}
	}
	a, err := wire.CallbackAnswer(
		[]byte(`{"status":"error","data":{"error":"Database error","message":"Failed to create session"}}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Opened(true); fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("a playbook whose database is unavailable: %v", err)
	}
}

func TestReasonIsShortAndOnOneLine(t *testing.T) {
	t.Parallel()
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	body, err := json.Marshal(
		map[string]any{"status": "error", "data": map[string]any{"error": "bad\r\n\x1b[31m" + string(long)}},
	)
	if err != nil {
		t.Fatal(err)
	}
	a, err := wire.CallbackAnswer(body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Opened(true)
	if m := fault.Of(err).Message; len(m) > 300 || m[:6] != "bad   " {
		t.Fatalf("the reason is %q", m)
	}
}

func TestAccessAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"status":"success","data":{"allowed":true}}`:                                                         "yes",
		`{"status":"success","data":{"allowed":"True","user":{"id":"5"}}}`:                                     "yes",
		`{"status":"success","data":{"allowed":false}}`:                                                        "no",
		`{"status":"error","data":{"allowed":false}}`:                                                          "outage",
		`{"status":"error","data":{"allowed":true}}`:                                                           "outage",
		`{"status":"error","data":{"error":"Database error: pool timed out","message":"Access check failed"}}`: "outage",
		`{"status":"success","data":{"allowed":"maybe"}}`:                                                      "malformed",
		`{"status":"success","data":{"allowed":1}}`:                                                            "malformed",
		`{"status":"success","data":{"allowed":null}}`:                                                         "malformed",
		`{"status":"success","data":{}}`:                                                                       "malformed",
		`{"status":"success"}`:                                                                                 "malformed",
		`{"status":"success","allowed":true}`:                                                                  "malformed",
		`{"status":"success","data":{"Allowed":true}}`:                                                         "malformed",
		`{"status":"success","data":{"allowed":true,"user":{"user_id":{}}}}`:                                   "malformed",
	} {
		a, err := wire.CallbackAnswer([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		got := "malformed"
		switch d, err := a.Decision(); {
		case err == nil:
			got = map[bool]string{true: "yes", false: "no"}[d.Allowed]
		case fault.Of(err).Kind != fault.Unavailable || fault.Of(err).RetryAfter <= 0:
			t.Errorf("%s: %v", body, err)
		case !errors.Is(err, auth.ErrMalformed):
			got = "outage"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestValidationAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{
		`{"status":"ok","valid":true,"user":{"user_id":1},"expires_at":null}`: nil,
		`{"status":"success","data":{"valid":"True","user":{"user_id":1}}}`:   nil,
		`{"status":"ok","valid":false}`:                                       auth.ErrNoSession,
		`{"status":"error","valid":false,"error":"Database error: pool timed out while waiting for an open connection"}`: auth.ErrBackendDown(
			nil,
		),
		`{"status":"error","valid":true,"user":{"user_id":1}}`: auth.ErrBackendDown(nil),
		`{"status":"success","data":{"valid":"False"}}`:        auth.ErrNoSession,
		`{"status":"error","error":"database is down"}`:        auth.ErrBackendDown(nil),
		`{"status":"ok","valid":true}`:                         auth.ErrMalformed,
		`{"status":"ok"}`:                                      auth.ErrMalformed,
	} {
		a, err := wire.Flat([]byte(body))
		if err == nil {
			_, err = a.Session()
		}
		if !errors.Is(err, want) && (err != nil || want != nil) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(
		[]byte(
			`{"status":"success","data":{"status":"authenticated","session_token":"t","user":{"user_id":1,"roles":"{a,\"b\"}"},"expires_at":"2099-01-01 00:00:00+00","valid":"True","allowed":true}}`,
		),
	)
	f.Add([]byte(`"{\"data\":\"{}\"}"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func([]byte) (wire.Answer, error){wire.CallbackAnswer, wire.RouteAnswer, wire.Flat} {
			a, err := decode(body)
			if err != nil {
				continue
			}
			if o, err := a.Opened(true); err == nil &&
				(o.Token.IsZero() || !o.Session.User.Known() || o.Session.ExpiresAt.IsZero()) {
				t.Fatalf("half a session was opened: %+v", o)
			}
			if s, err := a.Session(); err == nil && !s.User.Known() {
				t.Fatalf("nobody's session is valid: %+v", s)
			}
			if d, err := a.Decision(); err == nil && d.Allowed && !a.OK {
				t.Fatal("an error allowed something")
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(
		[]byte(
			`{"session_token":"tok","user_id":"1","email":"a@b","expires_at":"2026-01-28 22:11:41.335589+00","is_active":"True","roles":"[\"a\"]"}`,
		),
	)
	f.Add(record(`"roles":"{a,NULL}"`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := wire.Record(authwire.NewToken("tok"), value)
		if err != nil || !r.Active {
			return
		}
		if !r.Session.User.Known() || r.Session.ExpiresAt.IsZero() {
			t.Fatalf("half a record is live: %+v", r)
		}
		again, err := wire.EncodeRecord(authwire.NewToken("tok"), r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := wire.Record(authwire.NewToken("tok"), again); err != nil ||
			back.Session.User.ID != r.Session.User.ID ||
			!back.Session.ExpiresAt.Equal(r.Session.ExpiresAt) {
			t.Fatalf("%+v came back as %+v, %v", r, back, err)
		}
	})
}
