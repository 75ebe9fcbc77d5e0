package test

import (
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// oneEach are questions about one key of each of the replicas.
func (f *fleet) oneEach(rule *bucket.Rule) (qs []question) {
	for _, r := range f.replicas {
		qs = append(qs, question{rule, r.keyOf(rule, 0), 0})
	}
	return qs
}

// One cut link: gossip goes around it, so nobody is taken for dead, and so do the
// hits, by way of the standby. Nothing is lost but time.
func TestOneLinkIsCut(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "60/second burst 10")
		asker, owner := f.replicas[0], f.replicas[1]
		questions := f.oneEach(rule)
		load := f.load(50*time.Millisecond, f.replicas, questions...)
		time.Sleep(time.Second)
		cut := time.Now()
		f.net.Cut(asker.host, owner.host)
		time.Sleep(10 * time.Second)
		f.agree(time.Millisecond, f.replicas...)
		healed := time.Now()
		f.net.HealAll()
		time.Sleep(5 * time.Second)
		answers := load.stop()

		answers.answered(f, 5*5*300)
		answers.check(f, questions, 0, 0)
		affected := func(a answer) bool {
			return a.from == asker && a.key == questions[1].key || a.from == owner && a.key == questions[0].key
		}
		for _, a := range answers {
			noticed := a.sent.After(cut.Add(200*time.Millisecond)) && a.sent.Before(healed) || a.sent.After(healed.Add(3*time.Second))
			switch {
			case a.took <= 2*roundTrip: // waits for the frame ahead at most
			case !affected(a):
				f.Fatalf("%v for a call elsewhere, %v after the cut: %+v", a.took, a.sent.Sub(cut), a)
			case a.took > hitTimeout/2+4*roundTrip:
				f.Fatalf("%v over a cut link, %v after the cut: %+v", a.took, a.sent.Sub(cut), a)
			case noticed && a.took > 4*roundTrip:
				f.Fatalf("%v though the link is known to be cut, %v after the cut: %+v", a.took, a.sent.Sub(cut), a)
			}
		}
	})
}

// A slow replica slows down the hits for its own keys and no others. As long as its
// answers come in time, they are all its own.
func TestOneReplicaIsSlow(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "60/second burst 10")
		questions, slow := f.oneEach(rule), f.replicas[1]
		load := f.load(50*time.Millisecond, f.replicas, questions...)
		time.Sleep(time.Second)
		slow.host.SetDelay(15 * time.Millisecond)
		time.Sleep(3 * time.Second)
		slower := time.Now()
		slow.host.SetDelay(200 * time.Millisecond) // too late for anybody
		time.Sleep(3 * time.Second)
		healed := time.Now()
		slow.host.SetDelay(0)
		time.Sleep(3 * time.Second)
		answers := load.stop()
		f.agree(time.Millisecond, f.replicas...)

		own := func(a answer) bool { return a.from == slow || a.key == questions[1].key }
		others := func(a answer) bool { return !own(a) }
		whole := func(a answer) bool { return a.sent.Add(a.took).Before(slower) || a.sent.After(healed.Add(time.Second)) }
		answers.where(whole).answered(f, 5*5*100)
		answers.where(others).answered(f, 4*4*150)
		for _, a := range answers.where(others) {
			if a.took > 2*roundTrip {
				f.Fatalf("%v for a call elsewhere: %+v", a.took, a)
			}
		}
		answers.where(func(a answer) bool { return a.sent.Add(a.took).Before(slower) }).check(f, questions, 0, 0)
		answers.where(since(healed.Add(time.Second))).checkOver(f, questions, 0)
		// Neither it nor its standby in time: the policy's shares, for that time.
		for _, q := range questions {
			l := rule.Limits()[0]
			answers.check(f, []question{q}, l.Capacity()+5+l.Count*int64(healed.Sub(slower)+time.Second)/int64(time.Second), 1)
		}
	})
}

// Gossip suspects a replica that can be reached, for a moment that it survives.
func TestAReplicaIsWronglySuspected(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "60/second burst 10")
		questions := f.oneEach(rule)
		load := f.load(50*time.Millisecond, f.replicas, questions...)
		for range 5 {
			time.Sleep(time.Second)
			for _, r := range f.replicas[2:] {
				f.net.Mute(f.replicas[1].host, r.host)
			}
			time.Sleep(800 * time.Millisecond)
			f.net.HealAll()
		}
		time.Sleep(2 * time.Second)
		f.ready(time.Millisecond, f.replicas...)
		answers := load.stop()
		answers.answered(f, 5*5*150)
		answers.check(f, questions, 0, 0)
	})
}

// Gossip says that the holder is alive, but nobody else can reach it for hits: its
// standby decides as well, and what it admits the holder learns afterwards.
func TestAHolderIsSilentButAlive(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(4)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "60/second burst 10", bucket.WithFailurePolicy(bucket.Deny))
		holder := f.replicas[1]
		questions := []question{{rule, holder.keyOf(rule, 0), 0}}
		scarce := bucket.MustRule("scarce", "60/hour", bucket.WithFailurePolicy(bucket.Deny))
		once := holder.keyOf(scarce, 0)
		holder.ask(scarce, once, 50)
		load := f.load(30*time.Millisecond, f.replicas, questions...)
		time.Sleep(1050 * time.Millisecond)
		silent := time.Now()
		for _, r := range f.but(holder) {
			f.net.Hush(holder.host, r.host)
		}
		time.Sleep(3 * time.Second)
		for range 7 {
			if d := f.replicas[0].ask(scarce, once, 1); !d.Allowed || !d.Degraded {
				t.Errorf("by the standby: %+v", d)
			}
		}
		if d := holder.ask(scarce, once, 1); !d.Allowed || d.Degraded {
			t.Errorf("by the holder: %+v", d)
		}
		healed := time.Now()
		f.net.HealAll()
		f.ready(time.Millisecond, f.replicas...)
		time.Sleep(3 * time.Second)
		answers := load.stop()
		if d := f.replicas[0].ask(scarce, once, 4); d.Allowed {
			t.Errorf("the holder hasn't learnt what its standby admitted: %+v", d)
		}
		if d := f.replicas[0].ask(scarce, once, 3); !d.Allowed || d.Degraded {
			t.Errorf("of 60, 57 are spent: %+v", d)
		}

		for _, a := range answers.where(degraded, func(a answer) bool { return !a.Allowed }) {
			if a.RetryAfter == time.Second && a.sent.After(silent.Add(silentTime)) && a.sent.Before(healed) {
				f.Fatalf("by the policy %v after the beginning: %+v", a.sent.Sub(silent), a)
			}
		}
		standby := answers.where(degraded)
		standby.checkOver(f, questions, 0)
		answers.check(f, questions, standby.of(questions[0].key, rule.Limits()[0]).admitted(), 0)
		settled := healed.Add(3 * time.Second / 2)
		answers.where(func(a answer) bool { return a.sent.Add(a.took).Before(silent) || a.sent.After(settled) }).answered(f, 4*30)
		answers.where(since(settled)).checkOver(f, questions, 0)
	})
}
