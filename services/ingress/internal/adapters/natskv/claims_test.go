package natskv_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/internal/adapters/natskv"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	ingresstest.RunClaimStore(t, func(*testing.T) ingress.ClaimStore {
		return natskv.NewClaimStore(js, time.Hour,
			natskit.Room{})
	})
}

// A claim that was taken before the bucket filled up can be settled: its repetition is still recognised. A new one is
// refused as what it is.
func TestAClaimInAFullBucketCanBeSettled(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	s := natskv.NewClaimStore(js, time.Hour, natskit.Room{Bytes: 16 << 20})
	claim, err := s.Claim(t.Context(), "taken", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), natskv.Bucket)
	for _, size := range []int{32 << 10, 100} {
		for i := 0; err == nil; i++ {
			_, err = kv.Put(t.Context(), "flood"+strconv.Itoa(size)+"."+strconv.Itoa(i), make([]byte, size))
		}
		if !natskit.Full(err) {
			t.Fatal(err)
		}
		err = nil
	}
	_, err = s.Claim(t.Context(), "another", time.Minute)
	if f := fault.Of(err); f == nil || f.Kind != fault.RateLimited || f.RetryAfter == 0 {
		t.Errorf("a claim without room: %v", err)
	}
	if err := s.Settle(t.Context(), claim, strings.Repeat("7", 19)); err != nil {
		t.Errorf("settling: %v", err)
	}
	if again, err := s.Claim(t.Context(), "taken", time.Minute); err != nil || again.State != ingress.ClaimSettled {
		t.Errorf("%+v %v", again, err)
	}
}
