package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// The forms in which servers write a time. The digits of a fraction vary where the form ends in nines.
const (
	micros      = "2006-01-02T15:04:05.000000Z07:00"
	microsPlus  = "2006-01-02T15:04:05.000000-07:00"
	rustStream  = "2006-01-02T15:04:05.999999" // without a zone: UTC
	rustMoment  = "2006-01-02T15:04:05.999999-07:00"
	pythonEvent = "2006-01-02 15:04:05.000000-07:00"
)

func format(layout string, t time.Time) string { return t.UTC().Format(layout) }

// orNull is a time, or null for none.
func orNull(layout string, t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return format(layout, t)
}

// number is an id as a JSON number, null if there is none or it is not a number.
func number(id noetlwire.ID) any {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil {
		return nil
	}
	return n
}

// event is the number of an event, null for none.
func event(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

// text is a string, null for none.
func text[T ~string](s T) any {
	if s == "" {
		return nil
	}
	return s
}

// human writes a duration as the Python server does.
func human(d time.Duration) string {
	secs := int64(d.Round(time.Second) / time.Second)
	out := ""
	if h := secs / 3600; h > 0 {
		out += fmt.Sprintf("%dh ", h)
	}
	if m := secs / 60 % 60; m > 0 {
		out += fmt.Sprintf("%dm ", m)
	}
	if s := secs % 60; s > 0 || out == "" {
		out += fmt.Sprintf("%ds ", s)
	}
	return out[:len(out)-1]
}

// variables is a workload with the results of the steps that have worked.
func variables(v sandbox.View) map[string]any {
	all := map[string]any{}
	maps.Copy(all, v.Workload)
	for _, done := range v.Done {
		if done.Result != nil {
			all[done.Step] = done.Result
		}
	}
	return all
}

// encode is json.Marshal for what always encodes.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

// worker is the name of the one worker that the sandbox says it has.
const worker = "sandbox-worker-1"
