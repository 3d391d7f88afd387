package operatorcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

// columns prints lines in columns, a page at a time: the widths grow with the pages, so that a list of any length needs
// the memory of one.
type columns struct {
	out    io.Writer
	widths []int
}

const gap = 2 // spaces between columns

// add writes the rows of a page.
func (c *columns) add(rows [][]string) error {
	for _, row := range rows {
		for i, cell := range row {
			if i >= len(c.widths) {
				c.widths = append(c.widths, 0)
			}
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", c.widths[i]+gap-utf8.RuneCountInString(cell)))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(c.out, b.String())
	return err
}

// age is how long ago something was, as people say it.
func age(now, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	switch d := now.Sub(at); {
	case d < 0:
		return "in " + span(-d)
	default:
		return span(d)
	}
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 2*day:
		return strconv.Itoa(int(d.Hours())) + "h"
	default:
		return strconv.Itoa(int(d/day)) + "d"
	}
}

// pageFlags are the flags of a list.
func pageFlags(f *pflag.FlagSet, o *options) {
	f.StringVar(&o.user, "user", "", "only of this `user`: id:7 or email:ada@example.com")
	o.limitMost = operatorwire.MaxPage
	f.IntVar(&o.limit, "limit", 0, fmt.Sprintf("how `many`, 1 to %d; default %d", operatorwire.MaxPage,
		operatorwire.DefaultPage))
	f.StringVar(&o.cursor, "cursor", "", "go on behind a page, with its `cursor`")
	f.BoolVar(&o.all, "all", false, "all pages; with --json one line for each")
}

// listing is a list that is read page by page.
type listing[T any] struct {
	path  string // below /api/
	query url.Values
	head  []string
	next  func(T) string
	rows  func(T) [][]string
	total func(T) int // of all pages; nil where nobody knows
}

// pages prints one page of a list, or with --all each as it comes.
func pages[T any](ctx context.Context, c *call, l listing[T]) error {
	limit, cursor := c.limit, c.cursor
	if c.all && limit == 0 {
		limit = operatorwire.MaxPage
	}
	if limit > 0 {
		l.query.Set("limit", strconv.Itoa(limit))
	}
	if c.user != "" {
		l.query.Set("user", c.user)
	}
	table, first := &columns{out: c.out}, true
	for {
		if cursor != "" {
			l.query.Set("cursor", cursor)
		}
		page, raw, err := get[T](ctx, c.client, l.path, l.query)
		if err != nil {
			return err
		}
		next := l.next(page)
		switch {
		case c.json:
			err = printJSON(c.out, raw)
		case first:
			err = table.add(append([][]string{l.head}, l.rows(page)...))
		default:
			err = table.add(l.rows(page))
		}
		if err != nil {
			return err
		}
		if !c.json && l.total != nil && (next == "" || !c.all) {
			_, _ = fmt.Fprintf(c.out, "total: %d\n", l.total(page))
		}
		switch {
		case next == "":
			return nil
		case next == cursor:
			return errors.New("the gateway answers the same page again")
		case c.all:
			cursor, first = next, false
		case c.json:
			return nil
		default:
			_, err := fmt.Fprintf(c.out, "more: --cursor %s\n", plain(next))
			return err
		}
	}
}
