package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/settings"
	fanout "github.com/noetl/gateway/services/event-fanout/app"
	ingress "github.com/noetl/gateway/services/ingress/app"
	"github.com/noetl/gateway/services/standalone/internal/natsembed"
)

// size is a setting that says what a part of the embedded server's data may grow to.
type size struct {
	name  string
	bytes int64
	least int64 // a smaller share of a small disk would be of no use
	set   bool  // by the user
}

// diskShare is the part of the disk's room that is used where nobody said how much: 1 / diskShare.
const diskShare = 2

// most is no size that anybody sets.
const most = 1 << 50

// sizes makes the default sizes a share of the disk that the embedded server has, and says so where what is
// configured does not fit. NATS makes no stream that it has no room for, and JetStream stops when the disk is full.
func (p *process) sizes(ctx context.Context, logger *slog.Logger) error {
	disk, err := natsembed.Measure(p.dir.Join(""))
	if err != nil {
		return fmt.Errorf("GATEWAY_DATA_DIR: %w", err)
	}
	list, err := p.configured()
	if err != nil {
		return nil //nolint:nilerr // the services say what is wrong with their settings
	}
	if err := beyond(list, disk); err != nil {
		return err
	}
	total := sum(list)
	defaults, fitted := fit(list, disk.Room())
	p.defaults = append(p.defaults, defaults...)
	attrs := []any{
		"free_bytes", disk.Free, "used_bytes", disk.Used, "configured_bytes", total, "folder",
		p.cfg.DataDir, "settings", names(list),
	}
	switch {
	case fitted > disk.Room():
		logger.WarnContext(ctx,
			"the disk has less room than the configured sizes: NATS stops storing when it is full", attrs...)
	case len(defaults) > 0:
		logger.WarnContext(ctx, "the default sizes are made smaller: they would take more than half of the disk's room",
			append(attrs, "taken_bytes", fitted)...)
	}
	return nil
}

// checkSizes says what of the configured sizes the disk has no room for. A start refuses only what is [beyond] it: the
// streams of a gateway that ran before are there, however full the disk is now.
func (p *process) checkSizes(disk natsembed.Disk) error {
	list, err := p.configured()
	if err != nil {
		return nil //nolint:nilerr // the services say what is wrong with their settings
	}
	if err := beyond(list, disk); err != nil {
		return err
	}
	if _, fitted := fit(list, disk.Room()); fitted > disk.Room() {
		return fmt.Errorf("%s: together %d MiB, and the disk of GATEWAY_DATA_DIR has room for %d MiB: set less, "+
			"or make room", strings.Join(names(list), ", "), fitted>>20, disk.Room()>>20)
	}
	return nil
}

// beyond says that the sizes which the user set are more than the whole disk. Nothing that is deleted helps then, and
// the gateway would wait for its streams without an end.
func beyond(list []size, disk natsembed.Disk) error {
	set := slices.DeleteFunc(slices.Clone(list), func(s size) bool { return !s.set })
	total := sum(set)
	if total <= disk.Size {
		return nil
	}
	return fmt.Errorf("%s: %d MiB, and the disk of GATEWAY_DATA_DIR has %d MiB in all: set less",
		strings.Join(names(set), ", "), total>>20, disk.Size>>20)
}

// configured returns the sizes that the settings and the defaults give.
func (p *process) configured() ([]size, error) {
	list := []size{
		{name: "GATEWAY_STORE_MAX_BYTES", least: 16 << 20},
		{name: "GATEWAY_FRAME_MAX_BYTES", least: 16 << 20},
		{name: "GATEWAY_LIFECYCLE_MAX_BYTES", least: 8 << 20},
		{name: "GATEWAY_RESULT_STORE_MAX_BYTES"},
		{name: "INGRESS_INBOX_MAX_BYTES", least: 8 << 20},
		{name: "INGRESS_BODIES_MAX_BYTES"},
	}
	read := func(defaults []settings.Default) ([]int64, error) {
		cfg, err1 := fanout.Load(p.environ, defaults...)
		partners, err2 := ingress.Load(p.environ, defaults...)
		list[3].least, list[5].least = cfg.ResultMaxBytes, partners.MaxBody // none may be larger than its store
		return []int64{
			cfg.Process.NATS.StoreBytes, cfg.FrameMaxBytes, cfg.LifecycleBytes, cfg.ResultsBytes,
			partners.InboxBytes, partners.BodiesBytes,
		}, errors.Join(err1, err2)
	}
	var marked []settings.Default
	for _, s := range list {
		marked = append(marked, settings.Default{Name: s.name, Value: strconv.FormatInt(most, 10)})
	}
	values, err := read(p.defaults)
	if err != nil {
		return nil, err
	}
	unset, err := read(append(slices.Clip(p.defaults), marked...))
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].bytes, list[i].set = values[i], unset[i] != most
	}
	return list, nil
}

// fit returns smaller defaults for the sizes that nobody set, if all together would take more than a share of the
// room, and what all take then. They are halved as often as it takes, and not made to measure: the disk has a
// little more or less at each start, and the streams must not change with it.
func fit(list []size, room int64) (defaults []settings.Default, total int64) {
	for halvings := range bits.UintSize {
		defaults, total = nil, 0
		least := true
		for _, s := range list {
			bytes := s.bytes
			if !s.set {
				bytes = max(s.bytes>>halvings, min(s.least, s.bytes))
				least = least && bytes == min(s.least, s.bytes)
			}
			if bytes != s.bytes {
				defaults = append(defaults, settings.Default{Name: s.name, Value: strconv.FormatInt(bytes, 10)})
			}
			total = added(total, bytes)
		}
		if total <= room/diskShare || least {
			break
		}
	}
	return defaults, total
}

func sum(list []size) (total int64) {
	for _, s := range list {
		total = added(total, s.bytes)
	}
	return total
}

// added is a sum of sizes, at most the largest number: anybody may set them.
func added(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func names(list []size) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.name)
	}
	return out
}
