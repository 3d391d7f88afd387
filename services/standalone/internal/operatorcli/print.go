package operatorcli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/noetl/gateway/libs/contract/ingresswire"
)

// plain makes a text harmless on a terminal: what partners sent may hold escape sequences.
func plain(text string) string { return escaped(text, "") }

func escaped(text, keep string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(keep, r) || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// printJSON prints an answer as it came, on one line. What a terminal may obey, which a partner may have sent, is
// escaped; it can only be in strings.
func printJSON(out io.Writer, raw []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range line.String() {
		switch high, low := utf16.EncodeRune(r); {
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}

func when(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02T15:04:05Z")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return plain(text)
}

// row is a delivery on one line of a table.
func row(d ingresswire.Delivery) string {
	return strings.Join([]string{
		dash(d.ID), dash(string(d.State)), dash(d.Listener), when(d.ChangedAt), strconv.Itoa(d.Attempts),
		dash(d.Reason), dash(d.ExecutionID),
	}, "\t") + "\n"
}

func printPage(out io.Writer, page ingresswire.DeliveriesResponse) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(w, "ID\tSTATE\tLISTENER\tCHANGED\tATTEMPTS\tREASON\tEXECUTION\n")
	for _, d := range page.Deliveries {
		_, _ = fmt.Fprint(w, row(d))
	}
	if err := w.Flush(); err != nil || page.NextCursor == "" {
		return err
	}
	_, err := fmt.Fprintf(out, "more: --cursor %s\n", plain(page.NextCursor))
	return err
}

// fields prints names and values in turn, without those that are empty.
func fields(out io.Writer, pairs ...string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "-" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", plain(pairs[i]), plain(pairs[i+1]))
		}
	}
	_ = w.Flush()
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func printDelivery(out io.Writer, d ingresswire.Detail) error {
	fields(out, "id", d.ID, "state", string(d.State), "reason", d.Reason, "listener", d.Listener,
		"received", when(d.ReceivedAt), "changed", when(d.ChangedAt), "next attempt", when(d.NextAttempt),
		"sender's id", d.MessageID, "playbook", d.Playbook, "execution", d.ExecutionID, "trace", d.TraceID,
		"client", d.Client, "duplicates", count(d.Duplicates), "conflicts with", d.ConflictsWith,
		"configuration", d.ListenerVersion)
	skew := ""
	if d.Verification.SkewSeconds != nil {
		skew = strconv.FormatFloat(*d.Verification.SkewSeconds, 'f', -1, 64) + " s"
	}
	_, _ = fmt.Fprintln(out, "\nverification")
	fields(out, "  type", d.Verification.Type, "  result", d.Verification.Result, "  detail", d.Verification.Detail,
		"  signed", d.Verification.SignedString, "  its SHA-256", d.Verification.SignedSHA256, "  clock", skew,
		"  secret", count(d.Verification.Secret))
	_, _ = fmt.Fprintln(out, "\nattempts")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, a := range d.AttemptsMade {
		code := a.Code
		if code == "" {
			code = "dispatched"
		}
		_, _ = fmt.Fprintf(w, "  %s\t%.3f s\t%s\t%s\t%s\n", when(a.At), a.Seconds, dash(count(a.Status)), plain(code),
			plain(a.Message))
	}
	_ = w.Flush()
	_, _ = fmt.Fprintln(out, "\nheaders")
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		pairs = append(pairs, "  "+name, d.Headers[name])
	}
	fields(out, pairs...)
	about := fmt.Sprintf("%d bytes", d.Bytes)
	if d.BodyEncoding != "" {
		about += ", shown as " + d.BodyEncoding
	}
	if d.BodyTruncated {
		about += ", only the beginning"
	}
	_, err := fmt.Fprintf(out, "\nbody (%s)\n%s\n", plain(about), escaped(d.Body, "\n\t"))
	return err
}

func printListeners(out io.Writer, list []ingresswire.Listener) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(w, "LISTENER\tHEALTH\tWAITING\tDEAD\tDISPATCHED\tREJECTED\tVERIFY\tLAST RECEIVED\n")
	for _, l := range list {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", plain(l.Name), dash(l.Health), l.Waiting, l.Dead,
			l.Dispatched, l.Rejected, dash(l.Verify), when(l.LastReceivedAt))
	}
	return w.Flush()
}

func printListener(out io.Writer, l ingresswire.Listener) {
	oldest := ""
	if l.OldestWaitingSeconds > 0 {
		oldest = time.Duration(l.OldestWaitingSeconds * float64(time.Second)).Round(time.Second).String()
	}
	fields(out, "listener", l.Name, "health", l.Health, "detail", l.Detail, "origin", l.Origin, "source", l.Source,
		"verify", l.Verify, "playbook", l.Playbook, "version", l.Version, "paused", strconv.FormatBool(l.Paused),
		"waiting", strconv.FormatInt(l.Waiting, 10), "oldest", oldest, "dead", strconv.FormatInt(l.Dead, 10),
		"dispatched", strconv.FormatInt(l.Dispatched, 10), "rejected", strconv.FormatInt(l.Rejected, 10),
		"last received", when(l.LastReceivedAt))
}
