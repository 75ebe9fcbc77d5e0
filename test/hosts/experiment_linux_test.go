package hosts

import "time"

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
	l.none("a join has begun", l.hosts...)
	l.ready(fourth)
	l.none("a join", l.hosts...)

	fourth.close()
	l.none("a leave has ended", three...)
	l.agree(0, three...)
	l.none("a leave", three...)

	for _, h := range three {
		h.close()
		h.start()
		l.agree(0, three...)
		l.ready(h)
		l.none("the restart of "+h.name, three...)
	}

	time.Sleep(300 * time.Millisecond) // idle
	now = three[1].kill()
	survivors := l.running()
	l.none("kill -9", survivors...)
	l.row.agree = l.agree(now, survivors...)
	l.none("the others agree about it", survivors...)
	l.judge(none)
}

// exhaust makes ten hits on each key, scattered over the replicas.
func (l *lab) exhaust(hs []*host) {
	l.Helper()
	var sum counts
	for _, a := range l.all(hs, func(i int) command { return command{Do: "exhaust", Part: i, Of: len(hs)} }) {
		sum.plus(a.Counts)
	}
	if want := (counts{Allowed: 10_000}); sum != want {
		l.Fatalf("exhausting the keys gave %+v, want %+v", sum, want)
	}
	l.none("exhausting them", hs...)
}

// none asks for one more of each key everywhere.
func (l *lab) none(after string, hs ...*host) {
	l.Helper()
	var sum counts
	for _, a := range l.all(hs, func(int) command { return command{Do: "extra"} }) {
		sum.plus(a.Counts)
	}
	if sum.Allowed > 0 || sum.Failed > 0 {
		l.Errorf("after %s %d more passed and %d calls failed", after, sum.Allowed, sum.Failed)
	}
	l.Logf("after %s: %+v", after, sum)
}
