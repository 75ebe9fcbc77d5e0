package httpmw_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

// A node can do all that a middleware may ask for.
var (
	_ httpmw.Limiter    = (*cluster.Node)(nil)
	_ httpmw.Acquirer   = (*cluster.Node)(nil)
	_ httpmw.Refunder   = (*cluster.Node)(nil)
	_ httpmw.MultiTaker = (*cluster.Node)(nil)
)

// All at once over a node: however many log in together, each address and user has
// as many failures as it may, and successes are free.
func TestOverANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, err := cluster.Start(t.Context(), cluster.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close(t.Context())
		time.Sleep(time.Second) // a charge of the first nanosecond is no later than the start, and so not refunded
		byUser, byAddress, slots := bucket.MustRule("user", "3/minute"), bucket.MustRule("address", "5/minute"), bucket.MustRule("slots", "20 concurrent")
		var guesses atomic.Int64
		h := mustLimit(t, node, byUser, theUser, httpmw.And(byAddress, theAddress), httpmw.And(slots, everybody), httpmw.ChargeIf(failed))(
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Password") == "wrong" {
					guesses.Add(1)
				}
				login(w, r)
			}))
		try := func(user, password string) int {
			return send(h, "POST", "/", "X-User", user, "X-Address", "a", "Password", password).Code
		}
		for i := range 20 {
			if code := try("alice", "right"); code != 200 {
				t.Fatalf("login %d: %d", i, code)
			}
		}
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { try(fmt.Sprint("user ", i%2), "wrong") })
		}
		all.Wait()
		for i := 0; try("user 0", "wrong") == 401 || try("user 1", "wrong") == 401; i++ { // what a refusal has given back
			if i == 10 {
				t.Fatal("there is no end of guessing")
			}
		}
		if n := guesses.Load(); n != 5 {
			t.Errorf("%d guesses from one address", n)
		}
		time.Sleep(time.Minute)
		if code := try("user 0", "right"); code != 200 {
			t.Errorf("a minute later: %d", code)
		}
	})
}
