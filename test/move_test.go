package test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// Nobody comes or goes: not one token too many, not one refused without a reason.
func TestStableMembershipIsExact(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		questions := f.oneEach(bucket.MustRule("api", "60/second burst 10"))
		questions = append(questions, f.oneEach(bucket.MustRule("slow", "7/second burst 1"))...)
		load := f.load(20*time.Millisecond, f.replicas, questions...)
		for range 10 {
			f.net.SetLatency(5 * time.Millisecond)
			time.Sleep(200 * time.Millisecond)
			f.net.SetLatency(latency)
			time.Sleep(200 * time.Millisecond)
		}
		answers := load.stop()
		answers.answered(f, 10*5*150)
		answers.check(f, questions, 0, 0)
	})
}

func TestReplicasJoinUnderLoad(t *testing.T) {
	story(t, func(f *fleet) {
		first := f.start(2)
		f.ready(formTime, first...)
		idle := f.exhaust(100)
		var questions []question
		rule := bucket.MustRule("api", "60/second burst 10")
		for i := range 15 { // whoever will own them
			questions = append(questions, question{rule, fmt.Sprint("user ", i), 0})
		}
		load := f.load(20*time.Millisecond, first, questions...)
		for _, n := range []int{1, 2} {
			time.Sleep(500 * time.Millisecond)
			f.start(n)
			f.Logf("%d more are ready after %v", n, f.ready(formTime, f.replicas...))
		}
		idle.none(f, "two joins")
		time.Sleep(500 * time.Millisecond)
		answers := load.stop()
		answers.answered(f, 2*15*100)
		answers.check(f, questions, 0, 1)
	})
}

func TestAReplicaLeavesUnderLoad(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(100)
		leaver := f.replicas[3]
		others := f.but(leaver)
		questions := f.oneEach(bucket.MustRule("api", "60/second burst 10"))
		load := f.load(20*time.Millisecond, others, questions...)
		own := f.load(20*time.Millisecond, []*replica{leaver}, questions...)
		time.Sleep(time.Second)

		left := time.Now()
		closed := make(chan error, 1)
		go func() { closed <- leaver.Close(context.Background()) }()
		f.Logf("the others agree %v after the leaver began", f.agree(time.Second, others...))
		if leaver.Ready() {
			t.Error("the leaver is ready")
		}
		agreed := time.Now()
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		gone := time.Now()
		f.Logf("Close took %v", gone.Sub(left))
		f.replicas = others
		idle.none(f, "a leave")
		time.Sleep(time.Second)

		last := own.stop()
		for _, a := range last {
			if early := a.sent.Before(agreed); a.err != nil && (early || !errors.Is(a.err, cluster.ErrClosed)) || a.err == nil && a.sent.After(gone) {
				f.Fatalf("at the leaver, %v after it began: %+v", a.sent.Sub(left), a)
			}
		}
		answers := append(load.stop(), last.where(func(a answer) bool { return a.err == nil })...)
		answers.answered(f, 5*5*100)
		answers.check(f, questions, 0, 1)
		if err := leaver.Close(context.Background()); err != nil {
			t.Errorf("Close once more: %v", err)
		}
		f.ready(time.Millisecond, others...)
	})
}

// A whole deploy, one replica after the other, under load, twice: first the next boot
// of each name comes elsewhere, then at the same address.
func TestARollingDeploy(t *testing.T) {
	story(t, func(f *fleet) {
		f.seeds = []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.11:7946", "10.0.0.12:7946"}
		f.start(3)
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(100)
		rule := bucket.MustRule("api", "60/second burst 10")
		var questions []question
		for i := range 10 {
			questions = append(questions, question{rule, fmt.Sprint("user ", i), 0})
		}
		var answers answers
		for i := range 6 {
			old, host := f.replicas[i%3], f.net.Host(fmt.Sprint("10.0.0.", 11+i%3))
			load := f.load(20*time.Millisecond, f.but(old), questions...)
			f.close(old)
			next := f.replace(old, host)
			f.Logf("%s is back after %v", next.Name(), f.ready(formTime, f.replicas...))
			answers = append(answers, load.stop()...)
			idle.none(f, "the restart of "+next.Name())
		}
		answers.answered(f, 10*2*6*20)
		answers.check(f, questions, 0, 1)
	})
}
