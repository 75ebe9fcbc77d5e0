package transport_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/test/simnet"
)

// Over a link with a delay no caller waits for more than two round trips, however
// many there are: what came while a frame was on its way goes in the next at the
// latest. With enough of them frames follow each other, and then most wait for little
// more than one.
func TestLinkWithDelay(t *testing.T) {
	const delay = 10 * time.Millisecond
	for _, tt := range []struct {
		name    string
		callers int
		equal   bool
		half    time.Duration // half of the callers wait for no longer
	}{
		{"a lone caller", 1, false, 2 * delay},
		{"few callers", 16, false, 4 * delay},
		{"many callers", 256, false, 3 * delay},
		{"a hot key", 1000, true, 4 * delay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(simnet.Drain)
				n := simnet.New(simnet.Options{})
				began := time.Now()
				w := &world{T: t, net: n, asker: n.Host("10.0.0.1"), owner: n.Host("10.0.0.2"), now: func() int64 { return int64(time.Since(began)) }}
				w.serve(&echo{w: w}, hello)
				peer := w.dial(silence(time.Second))
				w.connects(peer, time.Second)
				n.SetLatency(delay)
				var mu sync.Mutex
				var waits []time.Duration
				var wg sync.WaitGroup
				for i := range tt.callers {
					wg.Go(func() {
						for j := range 20 {
							time.Sleep(time.Duration(i*j) * 37 * time.Microsecond % delay)
							h := hit(20*i + j)
							if tt.equal {
								h = hit(2)
							}
							asked := time.Now()
							if _, err := ask(peer, h, w.now()+int64(time.Second)); err != nil {
								t.Error(err)
							}
							mu.Lock()
							waits = append(waits, time.Since(asked))
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				slices.Sort(waits)
				if most := waits[len(waits)-1]; most > 4*delay+time.Millisecond {
					t.Errorf("somebody waited for %v", most)
				}
				if half := waits[len(waits)/2]; half > tt.half+time.Millisecond {
					t.Errorf("half waited for %v or more, want %v", half, tt.half)
				}
			})
		})
	}
}
