package test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// A partition is given away while its one key is hit without a pause: what was
// admitted on both sides is what the new holder has counted.
func TestAReleaseAmongWriters(t *testing.T) {
	const capacity = 1_000_000
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		leaver, others := f.replicas[0], f.replicas[1:]
		rule := bucket.MustRule("api", "1000000/year leaky burst 1000000", bucket.WithFailurePolicy(bucket.Deny))
		key := leaver.keyOf(rule, 0)
		var admitted atomic.Int64
		var left atomic.Bool
		write := func(r *replica) {
			for !left.Load() {
				d, err := r.Take(f.Context(), rule, key, 1)
				if err == nil && d.Allowed {
					admitted.Add(1)
				}
				if d.Degraded {
					t.Errorf("%s: %+v", r.Name(), d)
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
		var wg sync.WaitGroup
		for _, r := range []*replica{leaver, leaver, others[0], others[1]} {
			wg.Go(func() { write(r) })
		}
		time.Sleep(10 * time.Millisecond)
		f.close(leaver)
		left.Store(true)
		wg.Wait()
		for _, r := range others {
			if d := r.ask(rule, key, 0); d.Remaining != capacity-admitted.Load() {
				t.Errorf("%s: %d remain, after %d of %d were admitted", r.Name(), d.Remaining, admitted.Load(), capacity)
			}
		}
		t.Logf("%d were admitted meanwhile", admitted.Load())
	})
}
