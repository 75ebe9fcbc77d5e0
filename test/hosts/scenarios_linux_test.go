package hosts

import "time"

// scenario is one story of five replicas, or of the experiment's.
type scenario struct {
	name    string
	hosts   int
	classes []class
	run     func(l *lab)
}

func scenarios() []scenario {
	return []scenario{
		{"nothing happens", 5, busy(), (*lab).calm},
		{"a join and a leave", 5, busy(), (*lab).joinAndLeave},
		{"rolling restart of all five", 5, busy(), (*lab).rollingRestart},
		{"kill -9 of one", 5, busy(), (*lab).killOne},
		{"one stopped for 10 s (SIGSTOP)", 5, busy(), (*lab).freezeOne},
		{"one link cut for 15 s", 5, busy(), (*lab).cutLink},
		{"split 2\\|3 for 30 s", 5, busy(), (*lab).split},
		{"20 % loss for 15 s", 5, busy(), (*lab).loss},
		{"one receives nothing for 15 s", 5, busy(), (*lab).oneWay},
		{"UDP blocked for 15 s", 5, busy(), (*lab).noUDP},
		{"1 000 idle keys: join, leave, rolling restart, kill -9", 4, idle(), (*lab).experiment},
	}
}

func (l *lab) calm() {
	l.begin(l.hosts...)
	l.end()
	l.judge(none)
}

func (l *lab) joinAndLeave() {
	fifth := l.hosts[4]
	l.begin(l.but(fifth)...)
	now := clock()
	fifth.start()
	l.row.agree = l.agree(now, l.hosts...)
	l.ready(fifth)
	l.load(fifth)
	l.hold(calm, l.hosts...)
	fifth.close()
	l.agree(0, l.running()...)
	l.end()
	l.judge(none)
}

func (l *lab) rollingRestart() {
	l.begin(l.hosts...)
	for _, h := range l.hosts {
		h.close()
		now := clock()
		h.start()
		l.row.agree = max(l.row.agree, l.agree(now, l.hosts...))
		l.ready(h)
		l.load(h)
	}
	l.end()
	l.judge(none)
}

const (
	// replication is how far a standby may be behind its holder: 100 ms, and the way.
	replication = 100 * time.Millisecond
	way         = 25 * time.Millisecond
)

func (l *lab) killOne() {
	l.begin(l.hosts...)
	victim := l.hosts[1]
	now := victim.kill()
	l.row.agree = l.agree(now, l.running()...)
	l.end()
	gone := l.past[1].ended
	l.judge(func(calls []call, _ limit) int64 {
		return int64(len(where(calls, func(c call) bool {
			return c.outcome == allowed && c.end >= now-int64(replication+way) && c.at <= gone
		})))
	})
}

// A replica that stood still: its peers take over, and when it wakes it must not
// go on as if nothing had happened.
func (l *lab) freezeOne() {
	l.begin(l.hosts...)
	victim := l.hosts[1]
	stopped := victim.freeze()
	others := l.but(victim)
	l.Logf("the others agree %v after the stop", l.agree(stopped, others...))
	l.hold(10*time.Second-time.Duration(clock()-stopped), others...)
	now := victim.thaw()
	l.row.agree = l.agree(now, l.hosts...)
	t := time.Duration(clock() - stopped)
	l.end()
	l.judge(apart(t, len(l.hosts)))
}

// Gossip goes around one cut link, and so do hits.
func (l *lab) cutLink() {
	l.begin(l.hosts...)
	l.note("the link between the first two is cut")
	l.hosts[0].cut(l.hosts[1])
	l.hold(15*time.Second, l.hosts...)
	l.heal()
	l.end()
	l.judge(none)
}

func (l *lab) split() {
	l.begin(l.hosts...)
	left, right := l.hosts[:2], l.hosts[2:]
	began := l.note("the network splits")
	for _, h := range left {
		h.cut(right...)
	}
	l.Logf("the side of three agrees after %v", l.agree(began, right...))
	l.Logf("the side of two agrees after %v", l.agree(began, left...))
	time.Sleep(30*time.Second - time.Duration(clock()-began))
	l.recover(began)
}

// recover heals the network, waits until views agree, and judges a fault that began
// then and may have parted the replicas in two.
func (l *lab) recover(began int64) {
	l.Helper()
	l.row.agree = l.agree(l.heal(), l.hosts...)
	t := time.Duration(clock() - began)
	l.end()
	l.judge(apart(t, len(l.hosts)))
}

// suffer lets a fault last that is in the packet filters of some hosts.
func (l *lab) suffer(rule string, hs ...*host) {
	l.Helper()
	l.begin(l.hosts...)
	began := l.note("the fault begins: " + rule)
	for _, h := range hs {
		h.rules("add rule inet f in ip saddr " + ips(l.but(h)) + " " + rule)
	}
	time.Sleep(15*time.Second - time.Duration(clock()-began))
	l.recover(began)
}

func (l *lab) loss()   { l.suffer("numgen random mod 100 < 20 drop", l.hosts...) }
func (l *lab) oneWay() { l.suffer("drop", l.hosts[1]) }
func (l *lab) noUDP()  { l.suffer("meta l4proto udp drop", l.hosts...) }
