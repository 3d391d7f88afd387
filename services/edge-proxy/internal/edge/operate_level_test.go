package edge_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

// The log lines name programs, and the subjects the services in them: an operator may use either.
func TestALevelIsSetByTheNameInTheLog(t *testing.T) {
	t.Parallel()
	s, o, audit := gateway(t)
	out, err := s.SetLogLevel(t.Context(), by(withRoles("ops"), operatorwire.LogLevelRequest{
		Service: "edge-proxy", Level: "debug", ForSeconds: 60,
	}))
	if err != nil || len(out.Replicas) != 1 || out.Replicas[0] != "edge/e1" ||
		!strings.Contains(audit.String(), "of=edge ") {
		t.Errorf("%v, %v, %q\n%s", out, err, o.Journal.All(), audit)
	}
}
