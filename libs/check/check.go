// Package check collects what the check of a configuration finds: what works, what must be fixed, and what was left
// out. It never holds a secret.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/settings"
)

// Status is what became of one thing that was looked at.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Failed  Status = "FAIL"
	Skipped Status = "skip"
)

// Result is one line.
type Result struct {
	Status Status `json:"status"`
	Name   string `json:"name"`
	Text   string `json:"text"`
}

// Bound is how long one test of a neighbour may take.
const Bound = 5 * time.Second

// Listener is a port that a start opens.
type Listener struct {
	Setting string
	Bind    string
	Port    int // 0 is a free one
}

// Report collects results in the order in which they were looked at. It is safe for concurrent use.
type Report struct {
	// Offline leaves out what needs the network.
	Offline bool
	// Environ is the environment that is checked; it tells the lines of the settings file.
	Environ []string

	mu        sync.Mutex
	wg        sync.WaitGroup
	results   []*Result
	hidden    []string
	here      []string
	asked     []string
	listeners []Listener
	broken    bool
}

// Hide takes texts that no line may hold.
func (r *Report) Hide(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		if s != "" {
			r.hidden = append(r.hidden, s)
		}
	}
}

// Good says that something is as it must be.
func (r *Report) Good(name, format string, args ...any) {
	r.add(Result{OK, name, fmt.Sprintf(format, args...)})
}

// Fail says what is wrong, one line for each problem in err. It reports whether there is one.
func (r *Report) Fail(name string, err error) bool {
	for _, problem := range settings.Problems(settings.Locate(err, r.Environ)) {
		r.add(Result{Failed, name, problem.Error()})
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.broken = true
	}
	return err != nil
}

// Broken reports whether something is wrong with the configuration itself.
func (r *Report) Broken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// Wrong reports whether one of the problems with settings names one of these. Its value is the default then, which
// nobody asked for.
func (r *Report) Wrong(names ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.results, func(one *Result) bool {
		return one.Status == Failed && one.Name == "settings" && slices.ContainsFunc(names, func(name string) bool {
			return strings.HasPrefix(one.Text, name+"=")
		})
	})
}

// Here takes addresses that the gateway will serve itself: nobody answers there yet.
func (r *Report) Here(addresses ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.here = append(r.here, addresses...)
}

// Test asks a neighbour, within [Bound] and beside other tests. test returns what the line says of an answer.
func (r *Report) Test(ctx context.Context, name, target string, test func(context.Context) (string, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := &Result{Skipped, name, ""}
	if slices.Contains(r.asked, name+" "+target) {
		return // by another service too
	}
	r.asked = append(r.asked, name+" "+target)
	r.results = append(r.results, result)
	switch {
	case slices.Contains(r.here, target):
		result.Text = target + " is served by this gateway itself"
		return
	case r.Offline:
		result.Text = target + " was not asked (--offline)"
		return
	}
	result.Text = target
	r.wg.Go(func() { r.run(ctx, result, test) })
}

func (r *Report) run(ctx context.Context, result *Result, test func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(ctx, Bound)
	defer cancel()
	type outcome struct {
		text string
		err  error
	}
	done := make(chan outcome, 1)
	begin := time.Now()
	go func() {
		text, err := test(ctx)
		done <- outcome{text, err}
	}()
	var got outcome
	select {
	case got = <-done:
	case <-ctx.Done():
		got.err = fmt.Errorf("no answer within %s", Bound)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if got.err != nil {
		result.Status, result.Text = Failed, r.clean(result.Text+": "+reason(got.err))
		return
	}
	if got.text != "" {
		got.text = ": " + got.text
	}
	result.Status = OK
	took := time.Since(begin).Milliseconds()
	result.Text = r.clean(fmt.Sprintf("%s answered in %d ms%s", result.Text, took, got.text))
}

// reason is an error as an operator reads it: a fault without its kind and code, a request without the URL that the
// line names already.
func reason(err error) string {
	if f, ok := err.(*fault.Error); ok { //nolint:errorlint // what wraps a fault says more
		if f.Err == nil {
			return f.Message
		}
		return f.Message + ": " + reason(f.Err)
	}
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // likewise
		return reason(u.Err)
	}
	return err.Error()
}

// Listens takes a port that a start opens.
func (r *Report) Listens(setting, bind string, port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, Listener{setting, bind, port})
}

// Listeners returns the ports that were taken with [Report.Listens].
func (r *Report) Listeners() []Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.listeners)
}

func (r *Report) add(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result.Text = r.clean(result.Text)
	for _, other := range r.results {
		if *other == result {
			return // services that share a process share its settings
		}
	}
	r.results = append(r.results, &result)
}

// clean makes one line without secrets of a text.
func (r *Report) clean(text string) string {
	for _, secret := range r.hidden {
		text = hide(text, secret)
	}
	text = strings.ReplaceAll(strings.ReplaceAll(settings.MaskedText(text), ":\n", ": "), "\n", "; ")
	return strings.Join(strings.Fields(text), " ")
}

// shortSecret is the length from which a secret is hidden everywhere, in bytes. A shorter one is a part of many words,
// and is hidden where it stands alone.
const shortSecret = 4

func hide(text, secret string) string {
	if len(secret) >= shortSecret {
		return strings.ReplaceAll(text, secret, "***")
	}
	isWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	var b strings.Builder
	for done := 0; ; {
		at := strings.Index(text[done:], secret)
		if at < 0 {
			b.WriteString(text[done:])
			return b.String()
		}
		at += done
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(secret):])
		b.WriteString(text[done:at])
		if isWord(before) || isWord(after) {
			b.WriteString(secret)
		} else {
			b.WriteString("***")
		}
		done = at + len(secret)
	}
}

// Results returns all lines, when the last test is done.
func (r *Report) Results() []Result {
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Result, 0, len(r.results))
	for _, one := range r.results {
		out = append(out, *one)
	}
	return out
}

// Print writes one line for each result, or one JSON object.
func (r *Report) Print(w io.Writer, asJSON bool) error {
	results := r.Results()
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(struct {
			OK      bool     `json:"ok"`
			Results []Result `json:"results"`
		}{len(failed(results)) == 0, results})
	}
	for _, one := range results {
		if _, err := fmt.Fprintf(w, "%-4s  %-11s  %s\n", one.Status, one.Name, one.Text); err != nil {
			return err
		}
	}
	return nil
}

// Summary returns how many problems there are, as an error, and nil if there are none.
func (r *Report) Summary() error {
	switch n := len(failed(r.Results())); n {
	case 0:
		return nil
	case 1:
		return errors.New("there is one problem")
	default:
		return fmt.Errorf("there are %d problems", n)
	}
}

// Problems returns the problems as one error, nil if there are none.
func (r *Report) Problems() error {
	var problems []error
	for _, one := range failed(r.Results()) {
		problems = append(problems, fmt.Errorf("%s: %s", one.Name, one.Text))
	}
	return errors.Join(problems...)
}

func failed(results []Result) []Result {
	return slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Status != Failed })
}
