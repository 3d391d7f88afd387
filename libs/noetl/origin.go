package noetl

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Origin is what an execution was started with. The Python server does not tell the workload.
type Origin struct {
	Path     string
	Workload map[string]any // numbers are json.Number
}

// Origin tells what an execution was started with: GET /api/executions/{id}. Behind it in the answer stand
// the events of the execution with their results, however large: they are not read. An answer without a
// path is a fault of code [noetlwire.CodeNoPath].
func (c *Client) Origin(ctx context.Context, executionID string) (Origin, error) {
	if !noetlwire.ValidID(executionID) {
		return Origin{}, errExecutionID()
	}
	path := "/api/executions/" + url.PathEscape(executionID)
	resp, err := c.ask(ctx, c.owner(path), http.MethodGet, path, nil)
	if err != nil {
		return Origin{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		answer, err := readAnswer(resp)
		if err != nil {
			return Origin{}, err
		}
		return Origin{}, statusFault(resp.StatusCode, answer)
	}
	out, err := readOrigin(resp.Body)
	if err != nil && !errors.Is(err, context.Canceled) && !isTimeout(err) {
		return Origin{}, badAnswer(err)
	}
	if err != nil {
		return Origin{}, unreachable(err)
	}
	if out.Path == "" {
		return Origin{}, fault.New(
			fault.BadGateway, noetlwire.CodeNoPath, "NoETL did not say which playbook that execution runs",
		)
	}
	return out, nil
}

var errNoObject = errors.New("the answer is not a JSON object")

// readOrigin reads an object as far as it has to.
func readOrigin(body io.Reader) (Origin, error) {
	dec := json.NewDecoder(io.LimitReader(body, maxAnswer))
	dec.UseNumber()
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return Origin{}, errors.Join(errNoObject, err)
	}
	var out Origin
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return Origin{}, err
		}
		var other json.RawMessage
		into := map[any]any{"path": &out.Path, "workload": &out.Workload}[name]
		switch {
		case name == "events" && out.Path != "":
			return out, nil
		case into == nil:
			into = &other
		}
		if err := dec.Decode(into); err != nil {
			return Origin{}, err
		}
		if out.Path != "" && out.Workload != nil {
			return out, nil
		}
	}
	_, err := dec.Token()
	return out, err
}

// Rerun starts an execution again with another workload. Most servers have no route for that; then its
// playbook is executed with what it was started with, as far as the server tells, under the new workload.
func (c *Client) Rerun(
	ctx context.Context, executionID string, workload map[string]any,
) (noetlwire.ExecuteResponse, error) {
	var out noetlwire.ExecuteResponse
	if !noetlwire.ValidID(executionID) { // PathEscape leaves dot segments alone
		return out, errExecutionID()
	}
	in := noetlwire.RerunRequest{Workload: workload, ResourceKind: noetlwire.KindPlaybook}
	err := c.Do(ctx, http.MethodPost, "/api/executions/"+url.PathEscape(executionID)+"/rerun", in, &out)
	if f := fault.Of(err); f != nil &&
		(f.Code == code(http.StatusNotFound) || f.Code == code(http.StatusMethodNotAllowed)) {
		return c.executeAgain(ctx, executionID, workload)
	}
	if err != nil {
		return out, err
	}
	return out, checkID(out)
}

func (c *Client) executeAgain(
	ctx context.Context, executionID string, workload map[string]any,
) (noetlwire.ExecuteResponse, error) {
	origin, err := c.Origin(ctx, executionID)
	if err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	again := make(map[string]any, len(origin.Workload)+len(workload))
	maps.Copy(again, origin.Workload)
	// The answer to the old request is not to be given twice, nor to whoever asked for it.
	for _, address := range noetlwire.Addresses() {
		delete(again, address)
	}
	maps.Copy(again, workload)
	return c.Execute(
		ctx, noetlwire.ExecuteRequest{Path: origin.Path, Workload: again, ResourceKind: noetlwire.KindPlaybook},
	)
}
