package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// smallDisk mounts a file system for the test; "" where that is not allowed.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("a small disk: %v", err)
		}
		_, _ = fmt.Fprintf(os.Stderr, "%s NOT RUN: mounting a small disk takes root\n", t.Name())
		t.Logf("%s NOT RUN: mounting a small disk takes root", t.Name())
		return ""
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// A standalone gateway on a small disk says so at its start and makes its default sizes fit. When somebody fills the
// disk, logins are refused with a clear 5xx and readiness says what is wrong; when it is freed everything works again,
// with nothing restarted, and who was logged in still is.
func TestStandaloneOnADiskThatFillsAndIsFreed(t *testing.T) {
	disk := smallDisk(t, "640m")
	if disk == "" {
		return
	}
	p := stack.Standalone(t, "GATEWAY_DATA_DIR="+disk, "AUTH_BACKEND=local")
	for _, part := range []string{
		"the default sizes are made smaller", "configured_bytes=6174015488", "free_bytes=",
		"taken_bytes=", "GATEWAY_FRAME_MAX_BYTES",
	} {
		if !strings.Contains(p.Logs(), part) {
			t.Errorf("the start log has no %q: %s", part, p.Logs())
		}
	}
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	token := stack.IDToken(t, p.Ready.Issuer, "viewer@example.com")
	login := func() testkit.Answer {
		return testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/auth/login", `{"auth0_token":"`+token+`"}`)
	}
	readyz := func() string { return testkit.Do(t, http.MethodGet, p.Ready.Public+"/readyz", nil).Body }

	name := filepath.Join(disk, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	_ = f.Close()
	var refused testkit.Answer
	testkit.Eventually(t, "a login is refused", func() bool {
		refused = login()
		return refused.Code >= 500 || refused.Code == http.StatusTooManyRequests
	})
	if refused.Code != http.StatusServiceUnavailable && refused.Code != http.StatusGatewayTimeout ||
		!strings.Contains(refused.Body, `"code":"`) {
		t.Errorf("the refusal: %d %s", refused.Code, refused.Body)
	}
	testkit.Eventually(t, "readiness says so", func() bool {
		return strings.Contains(readyz(),
			"make room on the disk of GATEWAY_DATA_DIR")
	})
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "logins work again", func() bool { return login().Code == http.StatusOK })
	testkit.Eventually(t, "it is ready", func() bool { return strings.Contains(readyz(), `"status":"ready"`) })
	if a := testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/auth/validate",
		`{"session_token":"`+session+`"}`); a.Code != http.StatusOK || !strings.Contains(a.Body, `"valid":true`) {
		t.Errorf("the session of before: %d %s", a.Code, a.Body)
	}
}

// Sizes that were set and do not fit are left alone, and the start log has the numbers and the settings.
func TestSizesThatDoNotFitAreNamedAtStart(t *testing.T) {
	disk := smallDisk(t, "128m")
	if disk == "" {
		return
	}
	p := stack.Launch(t, "noetl-gateway", []string{"dev"}, append(stack.FreePorts(), "GATEWAY_DATA_DIR="+disk,
		"GATEWAY_FRAME_MAX_BYTES=100000000")...)
	testkit.Eventually(t, "the log names what does not fit", func() bool {
		logs := p.Logs()
		return strings.Contains(logs, "the disk has less room than the configured sizes") && strings.Contains(logs,
			"configured_bytes=5200273664") &&
			strings.Contains(logs, "free_bytes=") && strings.Contains(logs, "GATEWAY_FRAME_MAX_BYTES")
	})
	// One that no disk of this size ever has room for is a mistake.
	p = stack.Launch(t, "noetl-gateway", []string{"dev"}, append(stack.FreePorts(),
		"GATEWAY_DATA_DIR="+filepath.Join(disk, "other"), "GATEWAY_FRAME_MAX_BYTES=1000000000")...)
	testkit.Eventually(t, "the start is refused", func() bool {
		return strings.Contains(p.Logs(),
			"GATEWAY_FRAME_MAX_BYTES: 953 MiB, and the disk of GATEWAY_DATA_DIR has 128 MiB")
	})
}
