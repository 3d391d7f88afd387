package operatorcli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

func called() verb {
	return verb{summary: "show which playbooks are called as tools, now and since the start", run: showTools}
}

func showTools(ctx context.Context, c *call) error {
	got, raw, err := get[operatorwire.ToolsResponse](ctx, c.client, "operator/tools", nil)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	for _, replica := range got.Silent {
		_, _ = fmt.Fprintf(c.out, "%s: does not answer\n", plain(replica))
	}
	if !got.Enabled {
		if len(got.Replicas) > 0 {
			_, err = fmt.Fprintln(c.out, "playbooks are not served as tools: GATEWAY_MCP is off")
		}
		return err
	}
	rows := [][]string{{"TOOL", "PATH", "USER", "EXECUTION", "AGE", "KIND", "REPLICA"}}
	for _, call := range got.Calls {
		rows = append(rows, []string{
			dash(call.Tool), dash(call.Path), dash(call.User), dash(call.ExecutionID), age(c.now, call.Since),
			dash(call.Kind), dash(call.Replica),
		})
	}
	if err := (&columns{out: c.out}).add(rows); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.out, "under way: %d\n\n", got.Total)
	rows = [][]string{{"TOOL", "PATH", "CALLS", "ERRORS", "TASKS", "MEAN"}}
	for _, t := range got.Tools {
		mean := "-"
		if t.Calls > t.Tasks {
			mean = time.Duration(t.MeanSeconds * float64(time.Second)).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{
			dash(t.Tool), dash(t.Path), strconv.FormatInt(t.Calls, 10), strconv.FormatInt(t.Errors, 10),
			strconv.FormatInt(t.Tasks, 10), mean,
		})
	}
	return (&columns{out: c.out}).add(rows)
}
