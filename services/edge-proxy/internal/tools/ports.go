package tools

import (
	"context"
	"encoding/json"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Gateway is what package edge does for anybody: the checks and the start of an execution.
type Gateway interface {
	// Execute MUST reject what the caller may not start.
	Execute(ctx context.Context, in edge.ExecuteRequest) (edge.ExecuteResponse, error)
	// MayExecute returns nil if the caller may start a playbook, the fault Denied if not, an outage if nobody can tell.
	MayExecute(ctx context.Context, caller edge.Caller, path string) error
	Status(ctx context.Context, in edge.StatusRequest) (noetlwire.Execution, error)
	Cancel(ctx context.Context, in edge.CancelRequest) (edge.CancelResponse, error)
}

// Catalog tells what NoETL's catalog holds.
type Catalog interface {
	// Playbooks lists the playbooks and agents, each in its latest version, in the order of their paths. A path whose
	// latest version is something else MUST NOT be among them. Content MAY be "" where it holds
	// neither "input_schema" nor "output_schema".
	Playbooks(ctx context.Context) ([]noetlwire.CatalogEntry, error)
	// Schema tells which variables the latest version of a playbook takes: NotFound where NoETL cannot tell.
	Schema(ctx context.Context, path string) (noetlwire.UISchema, error)
}

// Outcomes tells what became of requests, whichever replica registered them.
type Outcomes interface {
	// Outcome is NotFound for a request that is unknown, was forgotten, or is somebody else's.
	Outcome(ctx context.Context, in fanoutwire.OutcomeRequest) (fanoutwire.Outcome, error)
	// RequestsOf MUST list the requests of the owner only.
	RequestsOf(ctx context.Context, in fanoutwire.RequestsOfRequest) (fanoutwire.RequestsOfResponse, error)
	// TasksOfSession returns the requests that were registered as Kept under the key of a session and have not ended,
	// newest first. It MUST return all of them, or an error.
	TasksOfSession(ctx context.Context, sessionKey string) ([]fanoutwire.OwnRequest, error)
}

// Endings tells how executions ended that told the gateway nothing. It asks for more than a status, so it is asked once
// for an execution that seems to have ended.
type Endings interface {
	// Ending MUST say Running for an execution that goes on, or of which nobody can tell: NotFound for one that is
	// unknown, an outage when NoETL cannot be asked.
	Ending(ctx context.Context, executionID string) (noetlwire.Ending, error)
}

// Results reads results that no frame can hold.
type Results interface {
	// Result returns the callback of a request of the caller as JSON: NotFound if there is none, TooLarge if it has
	// more bytes than limit.
	Result(ctx context.Context, caller edge.Caller, requestID string, limit int64) (json.RawMessage, error)
}
