package prom

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.FrameLog = (*Frames)(nil)

// Frames is a log whose frames are counted as they are stored. One that is stored a second time, which the log leaves
// out, counts too.
type Frames struct {
	fanout.FrameLog

	stored prometheus.Counter
}

// NewFrames makes the log and registers its counter.
func NewFrames(reg prometheus.Registerer, log fanout.FrameLog) *Frames {
	f := &Frames{FrameLog: log, stored: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "noetl_gateway_frames_total", Help: "Frames that were stored for clients.",
	})}
	reg.MustRegister(f.stored)
	return f
}

// Append implements the port.
func (f *Frames) Append(ctx context.Context, client string, frame fanout.NewFrame) error {
	err := f.FrameLog.Append(ctx, client, frame)
	if err == nil {
		f.stored.Inc()
	}
	return err
}

// AppendEach implements the port.
func (f *Frames) AppendEach(ctx context.Context, frames []fanout.ClientFrame) []error {
	errs := f.FrameLog.AppendEach(ctx, frames)
	stored := len(frames)
	for _, err := range errs {
		if err != nil {
			stored--
		}
	}
	f.stored.Add(float64(stored))
	return errs
}
