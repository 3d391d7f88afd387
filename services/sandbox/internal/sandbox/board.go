package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// Bounds of demo/board.
const (
	defaultCards   = 5
	maxCards       = 50
	defaultBoardMS = 300
	maxBoardMS     = 2000
	// maxBoard is how many cards a board may have: the bucket must not fill however often it runs. Numbers of cards
	// are used again, because a bucket keeps a mark of each key that was ever removed.
	maxBoard   = 60
	maxNumbers = 1000
)

// The columns of a board.
const (
	columnTodo  = "todo"
	columnDoing = "doing"
	columnDone  = "done"
)

// Keys of the cards of a board: its collection boards/demo/cards, as keys of a bucket spell it.
const (
	boardPrefix = "boards."
	cardsInfix  = ".cards."
)

var boardName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Card is a document of a board.
type Card struct {
	Title     string `json:"title"`
	Column    string `json:"column"` // todo, doing or done
	UpdatedAt string `json:"updated_at"`
}

// cardTitles are what is to do on a board, over and over.
func cardTitles() []string {
	return []string{
		"Answer the support queue", "Update the price list", "Call the carrier", "Check the stock of green tea",
		"Prepare the release notes", "Pay the invoices", "Plan the next sprint", "Back up the ledger",
		"Review the new listeners", "Order packing paper",
	}
}

// boardPlaybook writes the documents of a live board, which subscriptions of source kv show.
func (s *Service) boardPlaybook() *playbook {
	return &playbook{
		path:   "demo/board",
		listed: true,
		description: "Adds cards to a live board, moves them and removes some. board is its name; delay_ms is how " +
			"long each change takes.",
		example:  map[string]any{"board": "demo", "cards": defaultCards, "delay_ms": defaultBoardMS},
		workload: "\n  board: demo  # ui:description=Name of the board.\n  cards: 5\n  delay_ms: 300\n",
		steps:    s.boardSteps,
	}
}

// boardRun is one run of demo/board. Its steps run one after the other.
type boardRun struct {
	documents Documents
	prefix    string
	cards     int
	delay     time.Duration

	keys                   []string // of the cards that this run added
	titles                 []string
	moved, removed, tidied int
}

func (s *Service) boardSteps(w Workload) ([]step, error) {
	if s.deps.Documents == nil {
		return nil, errors.New("demo/board needs NATS, where its documents are: set NATS_URL")
	}
	name := w.text("board")
	if _, given := w["board"]; !given {
		name = "demo"
	}
	if !boardName.MatchString(name) {
		return nil, errors.New("variable board must be 1 to 32 letters, digits, _ or -")
	}
	cards, err := w.number("cards", defaultCards, maxCards)
	if err != nil {
		return nil, err
	}
	if cards < 1 || cards != math.Trunc(cards) {
		return nil, fmt.Errorf("variable cards must be a whole number from 1 to %d", maxCards)
	}
	ms, err := w.number("delay_ms", defaultBoardMS, maxBoardMS)
	if err != nil {
		return nil, err
	}
	r := &boardRun{
		documents: s.deps.Documents, prefix: boardPrefix + name + cardsInfix, cards: int(cards),
		delay: time.Duration(ms * float64(time.Millisecond)),
	}
	return []step{
		{"add", fmt.Sprintf("%d cards on the board %s", r.cards, name), r.add},
		{"move", "the cards are worked on", r.move},
		{"remove", "some of what is done is put aside", func(ctx context.Context) (any, error) {
			err := r.remove(ctx)
			return map[string]any{
				"board": name, "added": len(r.keys), "moved": r.moved, "removed": r.removed, "tidied": r.tidied,
			}, err
		}},
	}, nil
}

// add makes room for the cards, and puts them on the board under the first numbers that are free.
func (r *boardRun) add(ctx context.Context) (any, error) {
	there, err := r.documents.Keys(ctx, r.prefix)
	if err != nil {
		return nil, ended(ctx, err)
	}
	for len(there)+r.cards > maxBoard && len(there) > 0 {
		if err := r.documents.Remove(ctx, there[0]); err != nil {
			return nil, ended(ctx, err)
		}
		there = there[1:]
		r.tidied++
	}
	taken := map[string]bool{}
	for _, key := range there {
		taken[key] = true
	}
	for n := 1; len(r.keys) < r.cards; n++ {
		if n > maxNumbers {
			return nil, errors.New("the board has no free number for another card")
		}
		key, title := r.prefix+"card-"+strconv.Itoa(n), cardTitles()[(n-1)%len(cardTitles())]
		if taken[key] {
			continue
		}
		err := r.documents.Create(ctx, key, r.card(title, columnTodo))
		if kind, failed := fault.KindOf(err); failed && kind == fault.Conflict {
			continue // another run was faster
		}
		if err == nil {
			r.keys, r.titles = append(r.keys, key), append(r.titles, title)
			err = pause(ctx, r.delay)
		}
		if err != nil {
			return nil, ended(ctx, err)
		}
	}
	return map[string]any{"added": len(r.keys)}, nil
}

// move begins the work on every card, and ends it for three of four.
func (r *boardRun) move(ctx context.Context) (any, error) {
	for _, column := range []string{columnDoing, columnDone} {
		for i := range r.keys {
			if column == columnDone && !finished(i) {
				continue
			}
			if err := r.documents.Put(ctx, r.keys[i], r.card(r.titles[i], column)); err != nil {
				return nil, ended(ctx, err)
			}
			r.moved++
			if err := pause(ctx, r.delay); err != nil {
				return nil, err
			}
		}
	}
	return map[string]any{"moved": r.moved}, nil
}

// remove takes some of the finished cards off the board.
func (r *boardRun) remove(ctx context.Context) error {
	for i, key := range r.keys {
		if !finished(i) || i%3 != 1 {
			continue
		}
		if err := r.documents.Remove(ctx, key); err != nil {
			return ended(ctx, err)
		}
		r.removed++
		if err := pause(ctx, r.delay); err != nil {
			return err
		}
	}
	return nil
}

func finished(i int) bool { return i%4 != 3 }

func (r *boardRun) card(title, column string) Card {
	return Card{Title: title, Column: column, UpdatedAt: time.Now().UTC().Format(time.RFC3339Nano)}
}

// ended returns why an execution ended, where that is why err happened.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
