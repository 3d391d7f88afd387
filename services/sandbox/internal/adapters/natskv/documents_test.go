package natskv_test

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/natskv"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func TestDocumentsConformance(t *testing.T) {
	sandboxtest.RunDocuments(t, func(t *testing.T) sandboxtest.DocumentStore {
		t.Helper()
		js := testkit.StartNATS(t).JetStream(t)
		return sandboxtest.DocumentStore{
			Documents: natskv.NewDocuments(js, 1),
			Get: func(t *testing.T, key string) (v any) {
				t.Helper()
				kv, err := js.KeyValue(t.Context(), "noetl_documents")
				if err != nil {
					t.Fatal(err)
				}
				e, err := kv.Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(e.Value(), &v); err != nil {
					t.Fatal(err)
				}
				return v
			},
		}
	})
}

// A bucket that grows until the disk is full would stop everything in its account.
func TestTheBucketOfDocumentsIsBounded(t *testing.T) {
	js := testkit.StartNATS(t).JetStream(t)
	if err := natskv.NewDocuments(js, 1).Put(t.Context(), "boards.demo.a", 1); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "KV_noetl_documents")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.MaxBytes != 16<<20 || c.MaxMsgsPerSubject != 1 ||
		c.Storage != jetstream.FileStorage {
		t.Errorf("%+v", c)
	}
}
