// Package endpoints lifts the use cases of the NoETL look-alike, once.
package endpoints

import (
	"encoding/json"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// Set holds every operation.
type Set struct {
	Execute      kit.Operation[sandbox.ExecuteRequest, noetlwire.ExecuteResponse]
	Rerun        kit.Operation[sandbox.RerunRequest, noetlwire.ExecuteResponse]
	Cancel       kit.Operation[sandbox.CancelRequest, sandbox.CancelView]
	Status       kit.Operation[noetlwire.ID, sandbox.StatusView]
	Detail       kit.Operation[noetlwire.ID, sandbox.DetailView]
	Events       kit.Operation[noetlwire.ID, sandbox.EventsView]
	Vars         kit.Operation[noetlwire.ID, sandbox.VarsView]
	List         kit.Operation[sandbox.ListRequest, sandbox.ListView]
	Catalog      kit.Operation[struct{}, sandbox.CatalogView]
	Resource     kit.Operation[sandbox.ResourceRequest, sandbox.Entry]
	Record       kit.Operation[json.RawMessage, sandbox.RecordedView]
	Audit        kit.Operation[sandbox.AuditRequest, sandbox.AuditView]
	Listener     kit.Operation[string, noetlwire.Listener]
	SyncLogin    kit.Operation[sandbox.SyncLoginRequest, sandbox.SyncAnswer]
	SyncValidate kit.Operation[sandbox.SyncValidateRequest, sandbox.SyncValidateAnswer]
	SyncAccess   kit.Operation[sandbox.SyncAccessRequest, sandbox.SyncAnswer]
}

// limits: nothing here waits for anybody, so a call that takes long is a defect.
func limits() kit.Limits { return kit.Limits{Deadline: 10 * time.Second} }

// New lifts the use cases behind the standard middleware.
func New(s *sandbox.Service, o kit.Observer) Set {
	mw := kit.Standard(o, limits())
	return Set{
		Execute:      kit.Lift("noetl.execute", s.Execute, mw...),
		Rerun:        kit.Lift("noetl.rerun", s.Rerun, mw...),
		Cancel:       kit.Lift("noetl.cancel", s.Cancel, mw...),
		Status:       kit.Lift("noetl.status", s.Status, mw...),
		Detail:       kit.Lift("noetl.detail", s.Detail, mw...),
		Events:       kit.Lift("noetl.execution_events", s.Events, mw...),
		Vars:         kit.Lift("noetl.vars", s.Vars, mw...),
		List:         kit.Lift("noetl.list", s.List, mw...),
		Catalog:      kit.Lift("noetl.catalog", s.Catalog, mw...),
		Resource:     kit.Lift("noetl.resource", s.Resource, mw...),
		Record:       kit.Lift("noetl.record_event", s.Record, mw...),
		Audit:        kit.Lift("noetl.list_events", s.Audit, mw...),
		Listener:     kit.Lift("noetl.listener", s.Listener, mw...),
		SyncLogin:    kit.Lift("noetl.auth_login", s.SyncLogin, mw...),
		SyncValidate: kit.Lift("noetl.auth_validate", s.SyncValidate, mw...),
		SyncAccess:   kit.Lift("noetl.auth_access", s.SyncAccess, mw...),
	}
}
