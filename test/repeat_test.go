package test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Streams break again and again while hits and answers are on them. What is sent
// again is debited once: the limits, of which nothing comes back, give exactly what
// they hold.
func TestStreamsBreakUnderLoad(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(4)
		f.ready(formTime, f.replicas...)
		time.Sleep(time.Second) // a stream that breaks within that isn't dialled anew at once
		f.net.SetLatency(time.Millisecond)
		rule := bucket.MustRule("api", "2000/day", bucket.WithFailurePolicy(bucket.Deny))
		questions := f.oneEach(rule)
		load := f.load(6*time.Millisecond, f.replicas, questions...)
		random := rand.New(rand.NewPCG(1, 1))
		for range 4 {
			for i, a := range f.replicas {
				for _, b := range f.replicas[:i] {
					// One at a time: the standby goes on reaching the holder.
					time.Sleep(200*time.Millisecond + time.Duration(random.IntN(20_000))*time.Microsecond)
					f.net.Reset(a.host, b.host)
				}
			}
		}
		time.Sleep(300 * time.Millisecond)
		answers := load.stop()
		answers.answered(f, 4*4*500)
		for _, q := range questions {
			l := rule.Limits()[0]
			if got := answers.of(q.key, l).admitted(); got != l.Count {
				t.Errorf("%d of %q were admitted, want %d", got, q.key, l.Count)
			}
		}
	})
}

// Packets are lost, delayed and overtake each other, and calls about partitions are
// cut short, while replicas come and go: it takes longer, and nothing is lost.
func TestMovesOverABadNetwork(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		keys := f.exhaust(200)
		f.net.SetLoss(0.1)
		f.net.SetLatency(2 * time.Millisecond)
		random := rand.New(rand.NewPCG(2, 2))
		shake := func(d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(time.Duration(5+random.IntN(20)) * time.Millisecond) {
				a, b := f.replicas[random.IntN(len(f.replicas))], f.replicas[random.IntN(len(f.replicas))]
				if a != b {
					f.net.Reset(a.host, b.host)
				}
				f.net.SetLatency(time.Duration(random.IntN(4)) * time.Millisecond)
			}
		}
		for range 2 {
			joined := f.startOne()
			shake(time.Second)
			f.ready(2*formTime, f.replicas...)
			time.Sleep(2 * time.Second) // until all streams are whole
			keys.none(f, "a join")
			done := make(chan struct{})
			go func() { defer close(done); f.close(joined) }()
			shake(400 * time.Millisecond)
			<-done
			f.replicas = f.but(joined)
			time.Sleep(2 * time.Second)
			keys.none(f, "a leave")
		}
	})
}
