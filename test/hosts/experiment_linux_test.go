package hosts

import (
	"fmt"
	"time"
)

// idle are the keys of the experiment.
func idle() []class { return []class{{Rule: "survive", Count: 10, Per: time.Hour, Keys: 1000}} }

// experiment is the one in which Gubernator forgets a quarter of all keys at a join
// and a third at a crash: all are used up by way of three replicas, and not one more
// hit may pass on any of them whatever becomes of the replicas, if the keys were
// idle for longer than the replication takes.
func (l *lab) experiment() {
	three, fourth := l.hosts[:3], l.hosts[3]
	l.start(three...)
	l.exhaust(three)

	now := clock()
	fourth.start()
	l.agree(now, l.hosts...)
	l.extra("a join has begun", l.hosts...)
	l.ready(fourth)
	l.extra("a join", l.hosts...)

	fourth.close()
	l.extra("a leave has ended", three...)
	l.agree(0, three...)
	l.extra("a leave", three...)

	for _, h := range three {
		h.close()
		h.start()
		l.agree(0, three...)
		l.ready(h)
		l.extra("the restart of "+h.name, three...)
	}

	l.copied(three...)
	time.Sleep(300 * time.Millisecond) // idle
	now = three[1].kill()
	survivors := l.running()
	l.extra("kill -9", survivors...)
	l.row.agree = l.agree(now, survivors...)
	l.extra("the others agree about it", survivors...)
	l.judge(none)
}

// exhaust makes ten hits on each key, scattered over the replicas, and goes on until
// none passes any more: on a busy machine some may have been decided by local shares,
// which leaves as many tokens in the bucket.
func (l *lab) exhaust(hs []*host) {
	l.Helper()
	l.all(hs, func(i int) command { return command{Do: "exhaust", Part: i, Of: len(hs)} })
	for l.extra("exhausting them", hs...) > 0 {
	}
}

// extra asks for one more of each key everywhere, and returns how many passed. Whether
// that was too many is for judge to say.
func (l *lab) extra(after string, hs ...*host) int {
	l.Helper()
	var sum counts
	for _, a := range l.all(hs, func(int) command { return command{Do: "extra"} }) {
		sum.plus(a.Counts)
	}
	l.note(fmt.Sprintf("after %s: %+v", after, sum))
	return sum.Allowed
}
