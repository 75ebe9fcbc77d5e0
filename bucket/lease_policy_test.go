package bucket_test

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// traffic is what a few replicas make of one hot key, of which the first is the owner:
// an event after the other, in a time that is made up.
type traffic struct {
	rng      *rand.Rand
	store    *bucket.Store
	rule     *bucket.Rule
	now      int64
	delay    int64 // one way
	events   events
	order    int
	replicas []*replica
	ideal    *bucket.Store // sees every hit at once
	most     int64         // that pass there
	early    int64         // that passed in the first fifth of the time
	seq      uint64
}

type event struct {
	at    int64
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (w *traffic) after(d int64, do func()) {
	w.order++
	heap.Push(&w.events, event{w.now + d, w.order, do})
}

// replica is one that leases as leases do (leases.md, §4.1).
type replica struct {
	*traffic
	peer     uint64
	offered  int64
	admitted int64
	messages int64

	known           bool // it has an entry for the key
	tokens, expires int64
	low, hold       int64 // renew below; don't ask before
	hits, since     int64 // seen since the last ask
	asked           int64
	seq             uint64
	underway        bool
	starved         bool
	idle            int
}

func (r *replica) own() bool { return r.peer == 1 }

func (r *replica) rtt() int64 {
	if r.own() {
		return 0
	}
	return 2 * r.delay
}

func (r *replica) lead() int64 { return max(int64(r.rule.LeaseTerm())/4, r.rtt()*5/4) }

// times is how many hits come in d, at the rate of late.
func (r *replica) times(d int64) int64 { return r.hits * d / max(r.now-r.since, 1) }

func (r *replica) hit() {
	r.offered++
	if r.ideal.TakeDigest(r.rule, leasedKey, 1, r.now).Allowed {
		r.most++
	}
	if !r.known {
		r.forward(bucket.Ask{})
		return
	}
	r.hits++
	switch {
	case r.now < r.expires && r.tokens > 0:
		r.tokens--
		r.admitted++
		if !r.underway && r.now >= r.hold && (r.tokens <= r.low || r.expires-r.now < r.lead()) {
			r.forwardOnly(r.statement())
		}
	case r.starved && (r.now < r.hold || r.underway):
	case r.underway || r.hits < 8 && r.asked == 0:
		r.forward(bucket.Ask{})
	default:
		r.forward(r.statement())
	}
}

func (r *replica) statement() bucket.Ask {
	r.traffic.seq++
	a := bucket.Ask{Seq: r.traffic.seq, Want: max(r.times(r.lead()+int64(bucket.LeasePace)+r.rtt())+1-r.tokens, 0)}
	r.low = r.times(r.lead())
	if r.now >= r.expires {
		a.Back, r.tokens = r.tokens, 0
	} else if r.tokens > 2*(a.Want+r.tokens) && r.idle > 0 {
		a.Back, r.tokens = r.tokens/2, r.tokens-r.tokens/2
	}
	a.Have = r.tokens
	r.seq, r.asked, r.underway, r.hits, r.since = a.Seq, r.now, true, 0, r.now
	return a
}

func (r *replica) forward(a bucket.Ask) {
	a.Tokens = 1
	r.forwardOnly(a)
}

// forwardOnly sends a statement without a hit.
func (r *replica) forwardOnly(a bucket.Ask) {
	a.Peer, a.Own = r.peer, r.own()
	if r.own() {
		r.hear(a, r.ask(a))
		return
	}
	r.messages++
	r.after(r.delay, func() {
		answer := r.ask(a)
		r.after(r.delay, func() { r.hear(a, answer) })
	})
}

func (r *replica) ask(a bucket.Ask) bucket.Answer {
	answer, _ := r.store.AskHeld(nil, r.rule, leasedKey, a, r.now, 1)
	if a.Tokens > 0 && answer.Allowed {
		r.admitted++
	}
	return answer
}

func (r *replica) hear(a bucket.Ask, answer bucket.Answer) {
	if !r.known && answer.Hot {
		r.known, r.hits, r.since, r.asked, r.tokens, r.expires, r.starved, r.hold, r.underway = true, 0, r.now, 0, 0, 0, false, 0, false
	}
	if a.Seq == 0 || a.Seq != r.seq {
		return
	}
	r.underway, r.seq = false, 0
	if answer.Seq != 0 {
		r.tokens = min(r.tokens, answer.Keep) + answer.Grant
		r.expires = max(r.expires, r.asked+int64(answer.Term))
		r.starved, r.hold = answer.Hold > 0, r.asked+int64(answer.Hold)
	}
	if !answer.Hot {
		r.leave()
	}
}

// leave gives back what there is, and forgets the key.
func (r *replica) leave() {
	if r.known = false; r.tokens > 0 {
		r.hits = 0
		a := r.statement()
		a.Have, a.Back, a.Want, r.tokens = 0, a.Have+a.Back, 0, 0
		r.forwardOnly(a)
	}
}

// sweep is once in a quarter of the term.
func (r *replica) sweep() {
	if r.known && !r.underway {
		if r.idle++; r.hits > 0 {
			r.idle = 0
		}
		if r.tokens > 0 && (r.idle >= 2 || r.now >= r.expires) {
			a := r.statement()
			a.Back, a.Have, a.Want, r.tokens = a.Back+a.Have, 0, 0, 0
			r.forwardOnly(a)
		} else if r.tokens == 0 && r.now-r.since > int64(time.Second)/5 && r.times(int64(time.Second)) < 25 {
			r.known = false
		}
	}
	r.after(int64(r.rule.LeaseTerm())/4, r.sweep)
}

// arrive is the first of many hits that come at random, so many of them a second.
func (r *replica) arrive(rate float64) {
	r.after(int64(r.rng.ExpFloat64()/rate*1e9), func() {
		r.hit()
		r.arrive(rate)
	})
}

// play lets so many replicas be hit for a while, together load times as often as the
// rule allows, the bucket being full but for used tokens.
func play(rule *bucket.Rule, rates []float64, used int64, delay, length time.Duration) *traffic {
	w := &traffic{rng: newRand(11), store: newStore(), ideal: newStore(), rule: rule, delay: int64(delay)}
	w.store.TakeDigest(rule, leasedKey, used, 0)
	w.ideal.TakeDigest(rule, leasedKey, used, 0)
	for i, rate := range rates {
		r := &replica{traffic: w, peer: uint64(i + 1)}
		w.replicas = append(w.replicas, r)
		r.arrive(rate)
		r.after(w.rng.Int64N(int64(rule.LeaseTerm())/4), r.sweep)
	}
	w.after(int64(length)/5, func() { // when all have a lease
		for _, r := range w.replicas {
			w.early += r.admitted
			r.offered, r.admitted, r.messages = 0, 0, 0
		}
	})
	for w.now < int64(length) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	return w
}

// even is n replicas that have the same share of a rate.
func even(n int, rate float64) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = rate / float64(n)
	}
	return rates
}

// admitted is how many passed after the first fifth.
func (w *traffic) admitted() (n int64) {
	for _, r := range w.replicas {
		n += r.admitted
	}
	return n
}

// All that a single bucket would admit is admitted, but for a reserve. When leases have
// been found to be worth it, a hot key costs at most 50 messages a second and replica,
// whatever the load, and nobody has an advantage, neither the owner nor who asks first.
func TestSharesOfAHotKey(t *testing.T) {
	const d = time.Millisecond
	for _, tt := range []struct {
		name         string
		limit        string
		rates        []float64
		used         int64
		length       time.Duration
		least        float64 // of what a single bucket would admit
		below, above float64 // a replica's share of what passes, against its share of what comes
	}{
		{"half", "1000/second", even(3, 500), 500, 10 * time.Second, 0.995, 0.99, 1.01},
		{"nearly all", "1000/second", even(10, 950), 500, 10 * time.Second, 0.99, 0.98, 1.02},
		{"a little too much", "1000/second", even(10, 1050), 900, 10 * time.Second, 0.985, 0.9, 1.1},
		{"twice as much", "10000/second", even(3, 20000), 9000, 5 * time.Second, 0.985, 0.9, 1.1},
		{"ten times as much", "1000/second", even(3, 10000), 900, 10 * time.Second, 0.985, 0.9, 1.1},
		{"ten times as much, of ten", "10000/second", even(10, 100000), 9000, 3 * time.Second, 0.98, 0.9, 1.1},
		{"ten times as much, of a small burst", "1000/second burst 400", even(3, 10000), 300, 10 * time.Second, 0.98, 0.9, 1.1},
		{"one has nearly all", "10000/second", []float64{1000, 18000, 1000}, 9000, 5 * time.Second, 0.98, 0.9, 1.1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := play(bucket.MustRule("r", tt.limit), tt.rates, tt.used, d, tt.length)
			offered := int64(0)
			for _, r := range w.replicas {
				offered += r.offered
			}
			passed := float64(w.early+w.admitted()) / float64(w.most)
			t.Logf("%.4f of %d passed", passed, w.most)
			if passed < tt.least || passed > 1.001 {
				t.Errorf("%.4f of what a single bucket admits passed, want %.3f at least", passed, tt.least)
			}
			for i, r := range w.replicas {
				fair := float64(r.admitted) / float64(w.admitted()) / (float64(r.offered) / float64(offered))
				messages := float64(r.messages) / tt.length.Seconds() * 5 / 4
				t.Logf("replica %d: %.3f of its share, %.1f messages a second", i, fair, messages)
				if fair < tt.below || fair > tt.above || messages > 50 {
					t.Errorf("replica %d got %.3f of its share for %.1f messages a second", i, fair, messages)
				}
			}
		})
	}
}

// What is held back near exhaustion is a constant: it doesn't grow with time.
func TestTheReserveIsConstant(t *testing.T) {
	missing := func(length time.Duration) int64 {
		w := play(bucket.MustRule("r", "1000/second"), even(10, 1050), 900, time.Millisecond, length)
		return w.most - w.early - w.admitted()
	}
	short, long := missing(10*time.Second), missing(60*time.Second)
	t.Logf("%d tokens after 10 s, %d after 60 s", short, long)
	if short > 150 || long > 150 {
		t.Errorf("%d tokens are held back after 10 s, %d after 60 s", short, long)
	}
}
