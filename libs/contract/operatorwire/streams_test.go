package operatorwire_test

import (
	"encoding/json"
	"math"
	"strings"
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

// What a stream takes is known before it is packed, whatever has to be escaped, and as JSON it takes no more.
func TestTheSizeOfAPackedStreamIsBounded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a@b", strings.Repeat("!", 254), strings.Repeat("<\"é\n", 100), "\xff'/="} {
		s := operatorwire.Stream{
			ClientID: text, User: text, Email: text, SessionID: text, Transport: text,
			Since: time.Unix(1<<33, 0), Frames: math.MaxInt32, Bytes: math.MinInt,
		}
		packed := operatorwire.Pack(operatorwire.StreamsResponse{Streams: []operatorwire.Stream{s}}, "r")
		data, err := json.Marshal(packed.Rows)
		if size := operatorwire.PackedSize(s); err != nil || len(data)-2 > size || size > len(packed.Rows)+60 {
			t.Errorf("%.10q: %d bytes, said to be %d, %v", text, len(data)-2, size, err)
		}
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
