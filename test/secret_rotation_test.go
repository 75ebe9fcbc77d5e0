package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// secrets are what a replica is given while its secret changes.
func secrets(own string, accept ...string) func(*cluster.Config) {
	return func(c *cluster.Config) {
		c.Secret, c.DigestKey, c.Insecure = []byte(own), []byte(ours), false
		for _, s := range accept {
			c.AcceptSecrets = append(c.AcceptSecrets, []byte(s))
		}
	}
}

// The secret of five loaded replicas changes by three rolling restarts, as the README
// says: no call fails or is decided without its holder, nobody is admitted too much,
// and what was counted under the first secret is still counted under the second.
func TestTheSecretChangesUnderLoad(t *testing.T) {
	story(t, func(f *fleet) {
		f.seeds = []string{"10.0.0.1" + gossipPort, "10.0.0.2" + gossipPort, "10.0.0.3" + gossipPort}
		f.start(5, secret(ours)) // without a DigestKey: the secret stands for it
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(200)
		rule := bucket.MustRule("api", "60/second burst 10")
		var questions []question
		for i := range 10 {
			questions = append(questions, question{rule, fmt.Sprint("user ", i), 0})
		}
		var all answers
		for step, change := range []func(*cluster.Config){
			secrets(ours, theirs), // all know the next
			secrets(theirs, ours), // all use it
			secrets(theirs),       // and the last is forgotten
		} {
			for i := range f.replicas {
				old := f.replicas[i]
				load := f.load(20*time.Millisecond, f.but(old), questions...)
				f.close(old)
				f.replicas[i] = f.startOn(old.host, change, func(c *cluster.Config) { c.Name = old.Name() })
				f.ready(formTime, f.replicas...)
				all = append(all, load.stop()...)
			}
			idle.none(f, fmt.Sprint("step ", step+1))
		}
		all.answered(f, 10*3*5*20)
		all.check(f, questions, 0, 1)

		late := f.startOn(f.net.Host("10.0.0.9"), secret(ours), func(c *cluster.Config) { c.Name = "late" })
		f.await("who has the first secret alone stays alone", formTime+lookTime, late.Ready)
		if !late.sees([]*replica{late}) || !f.replicas[0].sees(f.replicas) {
			t.Errorf("members %v and %v", late.memberNames(), f.replicas[0].memberNames())
		}
	})
}
