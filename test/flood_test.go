package test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Strangers bring as many keys as they like: other keys notice nothing, and none that
// isn't full is dropped.
func TestAFloodOfNewKeys(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(50)
		questions := f.oneEach(bucket.MustRule("api", "60/second burst 10"))
		load := f.load(20*time.Millisecond, f.replicas, questions...)
		strangers := bucket.MustRule("strangers", "50/second; 1000/hour")
		var wg sync.WaitGroup
		for i, r := range f.replicas {
			wg.Go(func() {
				for j := range 2000 {
					if d := r.ask(strangers, fmt.Sprint("stranger ", i, " ", j), 50); !d.Allowed || d.Degraded {
						t.Errorf("a new key: %+v", d)
					}
					if j%10 == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(20 * time.Second) // the sweep comes round
		answers := load.stop()
		answers.answered(f, 3*3*900)
		answers.check(f, questions, 0, 0)
		idle.none(f, "a flood")
	})
}

// More callers ask at once than may wait for a peer that has fallen silent: the
// policy answers them, and no more pass than its shares.
func TestTooManyWaitForAHolder(t *testing.T) {
	const callers = 12_000
	story(t, func(f *fleet) {
		f.start(2)
		f.ready(formTime, f.replicas...)
		asker, holder := f.replicas[0], f.replicas[1]
		rule := bucket.MustRule("api", "100/hour")
		key := holder.keyOf(rule, 0)
		asker.ask(rule, key, 1)
		f.net.Cut(asker.host, holder.host)
		var wg sync.WaitGroup
		var mu sync.Mutex
		allowed, at := 0, map[time.Duration]int{}
		for range callers {
			wg.Go(func() {
				began := time.Now()
				d := asker.ask(rule, key, 1)
				mu.Lock()
				defer mu.Unlock()
				at[time.Since(began)]++
				if d.Allowed {
					allowed++
				}
				if !d.Degraded || time.Since(began) > hitTimeout {
					t.Errorf("after %v: %+v", time.Since(began), d)
				}
			})
		}
		wg.Wait()
		if allowed != 50 {
			t.Errorf("%d passed, of a share of 50", allowed)
		}
		if at[0] == 0 || len(at) < 2 {
			t.Errorf("answers by the time that they took: %v; want some at once as the queue was full", at)
		}
	})
}
