package natskv_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// Questions that are asked together are answered each for itself, and see what was stored before they were asked.
func TestManyQuestionsAtOneTime(t *testing.T) {
	t.Parallel()
	r := newRevocations(testkit.StartNATS(t).JetStream(t))
	user := authwire.UserKeyOf("id:7")
	if err := r.RevokeUser(t.Context(), user, authtest.Until()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for j := range 8 {
				key := authwire.NewToken(fmt.Sprintf("tok%d-%d", i, j)).Key()
				others := []authwire.UserKey{authwire.UserKeyOf("id:8")}
				if none, err := r.None(t.Context(), key, others); !none || err != nil {
					t.Errorf("before: %t, %v", none, err)
				}
				if none, err := r.None(t.Context(), key, []authwire.UserKey{user}); none || err != nil {
					t.Errorf("the sessions of the user have ended: %t, %v", none, err)
				}
				if err := r.Revoke(t.Context(), key, authtest.Until()); err != nil {
					t.Error(err)
				}
				if none, err := r.None(t.Context(), key, others); none || err != nil {
					t.Errorf("it is revoked: %t, %v", none, err)
				}
			}
		})
	}
	all.Wait()
}
