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
	Execute      kit.Operation[sandbox.ExecuteRequest, sandbox.Started]
	Batch        kit.Operation[sandbox.BatchRequest, sandbox.BatchView]
	Rerun        kit.Operation[sandbox.RerunRequest, sandbox.Started]
	Cancel       kit.Operation[sandbox.CancelRequest, sandbox.CancelView]
	Status       kit.Operation[noetlwire.ID, sandbox.View]
	Detail       kit.Operation[noetlwire.ID, sandbox.View]
	Events       kit.Operation[noetlwire.ID, sandbox.View]
	Vars         kit.Operation[noetlwire.ID, sandbox.View]
	List         kit.Operation[sandbox.ListRequest, []sandbox.View]
	Catalog      kit.Operation[sandbox.CatalogRequest, []sandbox.Entry]
	Resource     kit.Operation[sandbox.ResourceRequest, sandbox.Entry]
	Register     kit.Operation[sandbox.RegisterRequest, sandbox.Entry]
	Delete       kit.Operation[sandbox.ResourceRequest, sandbox.Entry]
	Restore      kit.Operation[sandbox.ResourceRequest, sandbox.Entry]
	Record       kit.Operation[json.RawMessage, sandbox.RecordedView]
	Audit        kit.Operation[sandbox.AuditRequest, sandbox.AuditView]
	Session      kit.Operation[sandbox.ChangeSessionRequest, sandbox.SessionView]
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
		Batch:        kit.Lift("noetl.execute_batch", s.Batch, mw...),
		Rerun:        kit.Lift("noetl.rerun", s.Rerun, mw...),
		Cancel:       kit.Lift("noetl.cancel", s.Cancel, mw...),
		Status:       kit.Lift("noetl.status", s.Look, mw...),
		Detail:       kit.Lift("noetl.detail", s.Look, mw...),
		Events:       kit.Lift("noetl.execution_events", s.Look, mw...),
		Vars:         kit.Lift("noetl.vars", s.Look, mw...),
		List:         kit.Lift("noetl.list", s.List, mw...),
		Catalog:      kit.Lift("noetl.catalog", s.Catalog, mw...),
		Resource:     kit.Lift("noetl.resource", s.Resource, mw...),
		Register:     kit.Lift("noetl.register", s.Register, mw...),
		Delete:       kit.Lift("noetl.catalog_delete", s.Delete, mw...),
		Restore:      kit.Lift("noetl.catalog_restore", s.Restore, mw...),
		Record:       kit.Lift("noetl.record_event", s.Record, mw...),
		Audit:        kit.Lift("noetl.list_events", s.Audit, mw...),
		Session:      kit.Lift("noetl.change_session", s.ChangeSession, mw...),
		Listener:     kit.Lift("noetl.listener", s.Listener, mw...),
		SyncLogin:    kit.Lift("noetl.auth_login", s.SyncLogin, mw...),
		SyncValidate: kit.Lift("noetl.auth_validate", s.SyncValidate, mw...),
		SyncAccess:   kit.Lift("noetl.auth_access", s.SyncAccess, mw...),
	}
}
