package natskit_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

func TestNoneOf(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "user.two"} {
		if _, err := kv.Put(t.Context(), key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for want, cases := range map[bool][][]string{
		true:  {{"three"}, {"three", "user.four", "on"}},
		false: {{"one"}, {"three", "user.two"}, {"one", "user.two", "three"}},
	} {
		for _, keys := range cases {
			if none, err := natskit.NoneOf(t.Context(), js, "b", keys...); none != want || err != nil {
				t.Errorf("%v: %t, %v", keys, none, err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if none, err := natskit.NoneOf(ctx, js, "missing", "one"); none || !fault.IsOutage(err) {
		t.Errorf("a bucket that is not there: %t, %v", none, err)
	}
}
