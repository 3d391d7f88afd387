package mcpserver

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/noetl/gateway/libs/fault"
)

// maxDepth bounds the nesting of a message. The SDK stops at 1,000, in words about something else.
const maxDepth = 500

// scan looks through valid JSON once: for nesting that is too deep, and for members that are there twice in the message
// or in its params. Readers differ in which of two counts, and a filter in front must not read another method or tool
// than is used here.
func scan(valid []byte) error {
	var outer, inner map[string]bool // the members seen of the object that is open at depth 1 and 2; nil in an array
	depth, key := 0, false
	seen := func() map[string]bool {
		switch depth {
		case 1:
			return outer
		case 2:
			return inner
		default:
			return nil
		}
	}
	for i := 0; i < len(valid); i++ {
		switch c := valid[i]; c {
		case '"':
			end := closing(valid, i)
			if names := seen(); key && names != nil {
				name := text(valid[i : end+1])
				if names[name] {
					return fault.New(fault.Invalid, codeNoMessage,
						"the member "+strconv.Quote(cut(name))+" is there twice")
				}
				names[name] = true
			}
			key, i = false, end
		case '{', '[':
			if depth++; depth > maxDepth {
				return fault.New(fault.Invalid, codeNoMessage, "the message is nested too deeply: at most "+
					strconv.Itoa(maxDepth)+" objects and arrays in one another")
			}
			key = c == '{'
			var names map[string]bool
			if key && depth <= 2 {
				names = map[string]bool{}
			}
			switch depth {
			case 1:
				outer = names
			case 2:
				inner = names
			}
		case '}', ']':
			depth--
			key = false
		case ',':
			key = seen() != nil
		case ':':
			key = false
		}
	}
	return nil
}

// closing returns where a string ends that begins at i.
func closing(valid []byte, i int) int {
	for i++; i < len(valid) && valid[i] != '"'; i++ {
		if valid[i] == '\\' {
			i++
		}
	}
	return i
}

// text decodes a string.
func text(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}

func cut(name string) string { return name[:min(len(name), maxName)] }

// checkTypes rejects params whose members have other types than the protocol says. The SDK would answer with the whole
// of them and the names of its own types.
func checkTypes(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	bad := func(name, what string) error {
		return fault.New(fault.Invalid, "bad_params", name+" must be "+what)
	}
	if raw[0] != '{' {
		return bad("params", "an object")
	}
	params := members(raw)
	for _, name := range []string{"name", "uri", "cursor", "taskId", "protocolVersion"} {
		if value := params[name]; len(value) > 0 && value[0] != '"' {
			return bad("params."+name, "a string")
		}
	}
	for _, name := range []string{"_meta", "notifications", "capabilities", "clientInfo"} {
		if value := params[name]; len(value) > 0 && value[0] != '{' {
			return bad("params."+name, "an object")
		}
	}
	var e envelope
	if token := members(params["_meta"])["progressToken"]; len(token) > 0 && !e.readID(token) {
		return bad("progressToken", "a string of at most 256 bytes, or a whole number below 2^53")
	}
	return nil
}
