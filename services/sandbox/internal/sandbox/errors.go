package sandbox

import (
	"errors"
	"fmt"

	"github.com/noetl/gateway/libs/fault"
)

func errNoPlaybook(name string) error {
	return fault.New(fault.NotFound, "playbook_not_found", fmt.Sprintf("no playbook %.100q in the catalog; see /api/catalog/list", name))
}

func errNoExecution(id string) error {
	return fault.New(fault.NotFound, "execution_not_found", fmt.Sprintf("no execution %.64q; the sandbox keeps the latest %d", id, maxExecutions))
}

func invalid(code, message string) error { return fault.New(fault.Invalid, code, message) }

// Causes for which an execution ends early.
var (
	errCancelled = errors.New("cancelled")
	errStopping  = errors.New("the sandbox is stopping")
)
