package sandbox

import (
	"errors"
	"fmt"

	"github.com/noetl/gateway/libs/fault"
)

func errNoPlaybook(name string) error {
	return fault.New(fault.NotFound, "playbook_not_found", fmt.Sprintf("Playbook not found: %.100s", name))
}

func errNoExecution(id string) error {
	return fault.New(fault.NotFound, "execution_not_found", fmt.Sprintf("Execution not found: %.64s", id))
}

func invalid(code, message string) error { return fault.New(fault.Invalid, code, message) }

// Causes for which an execution ends early.
var (
	errCancelled = errors.New("cancelled")
	errStopping  = errors.New("the sandbox is stopping")
	// errDeadEnd is where no condition of a step can be evaluated: a Python server then tells nobody anything.
	errDeadEnd = errors.New("the execution came to a dead end")
)
