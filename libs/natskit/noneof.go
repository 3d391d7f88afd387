package natskit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NoneOf reports whether a bucket holds none of the keys, with one read for all of them (direct get of the last
// messages of several subjects, NATS ADR-31). A key that was deleted may still count as held. The user of the
// connection needs $JS.API.DIRECT.GET.KV_<bucket>.
func NoneOf(ctx context.Context, js jetstream.JetStream, bucket string, keys ...string) (bool, error) {
	subjects := make([]string, len(keys))
	for i, key := range keys {
		subjects[i] = "$KV." + bucket + "." + key
	}
	request, err := json.Marshal(struct {
		LastFor []string `json:"multi_last"`
		Batch   int      `json:"batch"`
	}{subjects, 1})
	if err != nil {
		return false, err
	}
	answer, err := js.Conn().RequestMsgWithContext(ctx, &nats.Msg{
		Subject: "$JS.API.DIRECT.GET.KV_" + bucket, Data: request,
	})
	if err != nil {
		return false, AsFault(err)
	}
	switch status := answer.Header.Get("Status"); status {
	case "404":
		return true, nil
	case "": // the first message that there is; what follows goes nowhere
		return false, nil
	default:
		return false, AsFault(
			fmt.Errorf("direct get of several subjects: %s %s", status, answer.Header.Get("Description")),
		)
	}
}
