package operatorwire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

func TestStreamsArePacked(t *testing.T) {
	t.Parallel()
	page := operatorwire.StreamsResponse{Next: "r.7", Total: 9, Streams: []operatorwire.Stream{
		{
			ClientID: "c-1_x", User: "id:7", Email: "ada+x@example.com", SessionID: "0f", Transport: "sse",
			Replica: "r", Since: time.Unix(1, 2).UTC(), Frames: 3, Bytes: 4,
		},
		{
			User: "email:a b;c%+\n\"<é>", Email: "%41", Transport: "websocket", Replica: "r",
			Since: time.Unix(0, -5).UTC(),
		},
	}}
	got, err := operatorwire.Pack(page, "r").Unpack()
	if diff := cmp.Diff(page, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// FuzzUnpackStreams feeds rows of a replica that is not ours: what can be read can be packed again.
func FuzzUnpackStreams(f *testing.F) {
	f.Add("a id:7 a@b 00 sse 1 2 3;", 1)
	f.Add("%a%20b   sse -1 0 0;;", 2)
	f.Add("a b c d e f g h", 0)
	f.Fuzz(func(t *testing.T, rows string, count int) {
		out, err := operatorwire.PackedStreams{Rows: rows, Count: count, Replica: "r"}.Unpack()
		if err != nil {
			return
		}
		again, err := operatorwire.Pack(out, "r").Unpack()
		if diff := cmp.Diff(out, again); diff != "" || err != nil || len(out.Streams) > operatorwire.MaxPage {
			t.Error(err, diff)
		}
	})
}
