package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/noetl/gateway/services/standalone/app"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

func TestSamplesAreSigned(t *testing.T) {
	t.Parallel()
	mac := hmac.New(sha256.New, []byte("s"))
	_, _ = mac.Write([]byte("{}"))
	want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	in := operatorcli.SampleRequest{
		Preset: "github", Secret: "s", URL: "http://gateway.test/ingress/a", Body: []byte("{}"),
	}
	out, err := app.SignSample(in)
	if err != nil || out.Method != "POST" || out.URL != in.URL || string(out.Body) != "{}" {
		t.Errorf("%+v %v", out, err)
	}
	if got := out.Header["x-hub-signature-256"]; len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
	in.Preset = "nobody's"
	if _, err := app.SignSample(in); err == nil {
		t.Error("a sample of a preset that does not exist")
	}
}
