package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Case is one golden file: a rule of the wire contract, and requests and replies that show it.
// testdata/README.md describes the format.
type Case struct {
	Name     string   // 2-auth/login/no-token
	Rule     string   // in words
	Settings []string // NAME=value, beside those of every case
	Stream   bool     // an event stream of ${session} is open as ${client}
	AuthSeen bool     // calls of the auth playbooks count as calls of NoETL
	Only     string   // standalone, split, or "" for both
	Steps    []Step
}

// Step is one section of a file: `--- verb arguments`, and what follows it.
type Step struct {
	Line int
	Verb string   // may be several words
	Args []string // the rest of the line
	Body string
}

// verbs are all sections that there are, the longest first where one begins like another.
var verbs = []string{
	"request", "reply", "NoETL answers", "NoETL first publishes", "NoETL then calls", "NoETL then publishes",
	"NoETL is asked", "NoETL is not asked", "stream", "frames", "close", "ws", "send", "publish core", "publish",
	"put session", "token", "sign", "file", "start", "ready", "ends",
}

// Load reads every golden file below a folder, in order.
func Load(tb testing.TB, dir string) []Case {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.golden"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no golden files below %s (%v)", dir, err)
	}
	cases := make([]Case, 0, len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		c, err := Parse(string(text))
		if err != nil {
			tb.Errorf("%s:%v", path, err)
			continue
		}
		c.Name = strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(dir)+"/"), ".golden")
		cases = append(cases, c)
	}
	if tb.Failed() {
		tb.FailNow()
	}
	return cases
}

// Parse reads one file. The error begins with the line number.
func Parse(text string) (Case, error) {
	var c Case
	var rule []string
	var body []string
	flush := func() {
		if n := len(c.Steps); n > 0 {
			c.Steps[n-1].Body = strings.TrimRight(strings.Join(body, "\n"), "\n")
		}
		body = nil
	}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		title, section := strings.CutPrefix(line, "--- ")
		switch {
		case section:
			flush()
			step, err := parseTitle(title)
			if err != nil {
				return c, fmt.Errorf("%d: %w", i+1, err)
			}
			step.Line = i + 1
			c.Steps = append(c.Steps, step)
		case len(c.Steps) > 0:
			body = append(body, line)
		case strings.HasPrefix(line, "#"):
			rule = append(rule, strings.TrimSpace(strings.TrimPrefix(line, "#")))
		case strings.TrimSpace(line) == "":
		default:
			if err := c.given(line); err != nil {
				return c, fmt.Errorf("%d: %w", i+1, err)
			}
		}
	}
	flush()
	if c.Rule = strings.Join(rule, " "); c.Rule == "" || len(c.Steps) == 0 {
		return c, fmt.Errorf("1: a file has a rule in # lines, and steps")
	}
	return c, nil
}

func parseTitle(title string) (Step, error) {
	for _, verb := range verbs {
		rest, ok := strings.CutPrefix(title, verb)
		if ok && (rest == "" || rest[0] == ' ') {
			return Step{Verb: verb, Args: strings.Fields(rest)}, nil
		}
	}
	return Step{}, fmt.Errorf("there is no section %q", title)
}

func (c *Case) given(line string) error {
	name, rest, _ := strings.Cut(line, ":")
	words := strings.Fields(rest)
	switch {
	case name == "given" && len(words) > 1 && words[0] == "settings":
		c.Settings = append(c.Settings, words[1:]...)
		slices.Sort(c.Settings)
	case name == "given" && slices.Equal(words, []string{"stream"}):
		c.Stream = true
	case name == "given" && slices.Equal(words, []string{"auth", "calls"}):
		c.AuthSeen = true
	case name == "only" && len(words) == 1 && (words[0] == "standalone" || words[0] == "split"):
		c.Only = words[0]
	default:
		return fmt.Errorf("not understood: %q", line)
	}
	return nil
}

// message is the text of a request, a reply or a call: a first line, headers, a blank line, a body.
type message struct {
	first  string
	header [][2]string // in order; a name that begins with ! must be absent
	body   string
}

func parseMessage(text string) message {
	head, body, _ := strings.Cut(text+"\n", "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	m := message{first: strings.TrimSpace(lines[0]), body: strings.TrimRight(body, "\n")}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		m.header = append(m.header, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return m
}

// parseFrames reads the frames of a section in the syntax of an event stream, data over several
// lines if these are indented.
func parseFrames(text string) []Frame {
	var frames []Frame
	for block := range strings.SplitSeq(text, "\n\n") {
		var f Frame
		last := new(string)
		for line := range strings.SplitSeq(block, "\n") {
			if strings.HasPrefix(line, " ") {
				*last += "\n" + line
				continue
			}
			name, value, _ := strings.Cut(line, ":")
			switch name {
			case "event":
				last = &f.Event
			case "id":
				last = &f.ID
			case "data":
				last = &f.Data
			case "end":
				last = &f.End
			default:
				continue
			}
			*last = strings.TrimSpace(value)
		}
		if f != (Frame{}) {
			frames = append(frames, f)
		}
	}
	return frames
}

// Frame is one message of a stream or of a WebSocket, or a pattern for one. End is set on the
// last: how the connection ended.
type Frame struct{ Event, ID, Data, End string }
