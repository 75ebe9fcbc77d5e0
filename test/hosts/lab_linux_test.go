package hosts

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// lab is a bridge and some hosts, and what was found out with them.
type lab struct {
	*testing.T
	prefix  string // of the names of its namespaces
	dir     string // of journals and logs
	secret  []byte
	classes []class
	hosts   []*host
	past    []*process // all that were ever started
	made    int64      // on the clock
	row     row
}

const port = ":7946"

// newLab makes a lab of n hosts, 10.77.0.1 and so on, whose replicas are about to
// be asked about keys of these classes.
func newLab(t *testing.T, prefix string, n int, classes []class) *lab {
	t.Helper()
	l := &lab{T: t, prefix: prefix, dir: t.TempDir(), secret: make([]byte, 32), classes: classes, made: clock()}
	rand.Read(l.secret)
	t.Cleanup(func() {
		for _, p := range l.past {
			p.end()
		}
		if err := remove(prefix); err != nil {
			t.Error(err)
		}
	})
	l.must("", "ip", "netns", "add", l.bridge())
	l.must("", "ip", "-n", l.bridge(), "link", "add", "br0", "type", "bridge")
	l.must("", "ip", "-n", l.bridge(), "link", "set", "br0", "up")
	for i := range n {
		l.hosts = append(l.hosts, l.newHost(i+1))
	}
	return l
}

func (l *lab) bridge() string { return l.prefix + "bridge" }

func (l *lab) must(input, name string, args ...string) {
	l.Helper()
	if err := run(input, name, args...); err != nil {
		l.Fatal(err)
	}
}

// newHost makes a namespace with a cable to the bridge.
func (l *lab) newHost(n int) *host {
	l.Helper()
	h := &host{lab: l, name: fmt.Sprint("replica-", n), ns: fmt.Sprint(l.prefix, "h", n), ip: fmt.Sprint("10.77.0.", n)}
	cable := fmt.Sprint("p", n)
	l.must("", "ip", "netns", "add", h.ns)
	l.must("", "ip", "-n", h.ns, "link", "add", "eth0", "type", "veth", "peer", "name", cable, "netns", l.bridge())
	l.must("", "ip", "-n", l.bridge(), "link", "set", cable, "master", "br0", "up")
	l.must("", "ip", "-n", h.ns, "addr", "add", h.ip+"/24", "dev", "eth0")
	l.must("", "ip", "-n", h.ns, "link", "set", "eth0", "up")
	l.must("", "ip", "-n", h.ns, "link", "set", "lo", "up")
	h.rules("add table inet f",
		"add chain inet f in { type filter hook input priority 0; }",
		"add chain inet f out { type filter hook output priority 0; }")
	return h
}

// rules changes the packet filter of a host, all at once.
func (h *host) rules(lines ...string) {
	h.lab.Helper()
	h.lab.must(strings.Join(lines, "\n")+"\n", "ip", "netns", "exec", h.ns, "nft", "-f", "-")
}

// note logs what is done to the replicas, and returns when.
func (l *lab) note(what string) int64 {
	now := clock()
	l.Logf("%.3f s: %s", time.Duration(now-l.made).Seconds(), what)
	return now
}

// cut drops all packets between a host and others, both ways.
func (h *host) cut(others ...*host) {
	h.lab.Helper()
	var rules []string
	for _, o := range others {
		rules = append(rules, "add rule inet f in ip saddr "+o.ip+" drop", "add rule inet f out ip daddr "+o.ip+" drop")
	}
	h.rules(rules...)
}

// heal makes all links whole, and returns when it began to.
func (l *lab) heal() int64 {
	l.Helper()
	now := l.note("the network heals")
	for _, h := range l.hosts {
		h.rules("flush chain inet f in", "flush chain inet f out")
	}
	return now
}

// running are the hosts whose replica has not ended.
func (l *lab) running() []*host {
	return slices.DeleteFunc(slices.Clone(l.hosts), func(h *host) bool { return h.process == nil })
}

// but are the hosts without some.
func (l *lab) but(without ...*host) []*host {
	return slices.DeleteFunc(slices.Clone(l.hosts), func(h *host) bool { return slices.Contains(without, h) })
}

const (
	agreeTime = 20 * time.Second // how long anything may take to settle
	pollTime  = 10 * time.Millisecond
)

// await waits until there is no complaint, and returns the time since then.
func (l *lab) await(since int64, complaint func() string) time.Duration {
	l.Helper()
	for deadline := clock() + int64(agreeTime); ; time.Sleep(pollTime) {
		text := complaint()
		if text == "" {
			return time.Duration(clock() - since)
		}
		if clock() > deadline {
			l.Fatalf("after %v: %s", agreeTime, text)
		}
	}
}

// agree waits until these replicas see each other in their present boots and nobody
// else, by the same table. It returns the time since then.
func (l *lab) agree(since int64, hs ...*host) time.Duration {
	l.Helper()
	return l.await(since, func() string { return l.difference(hs) })
}

// ready waits until these replicas are ready.
func (l *lab) ready(hs ...*host) {
	l.Helper()
	l.await(0, func() string {
		for _, h := range hs {
			if !h.ask(command{Do: "state"}).Ready {
				return h.name + " is not ready"
			}
		}
		return ""
	})
}

// copied waits until every partition of these replicas has a whole copy at its
// standby.
func (l *lab) copied(hs ...*host) {
	l.Helper()
	l.await(0, func() string {
		for _, h := range hs {
			if n := h.ask(command{Do: "state"}).Uncopied; n > 0 {
				return fmt.Sprintf("%d partitions of %s have no copy", n, h.name)
			}
		}
		return ""
	})
}

// hold fails the test if the views of these replicas differ at any time for so long.
func (l *lab) hold(d time.Duration, hs ...*host) {
	l.Helper()
	for end := clock() + int64(d); clock() < end; time.Sleep(pollTime) {
		if difference := l.difference(hs); difference != "" {
			l.Errorf("the views should not have changed: %s", difference)
			return
		}
	}
}

// difference says in what these replicas disagree, or "".
func (l *lab) difference(hs []*host) string {
	l.Helper()
	var first reply
	for i, h := range hs {
		state := h.ask(command{Do: "state"})
		if i == 0 {
			first = state
		}
		switch {
		case !slices.Equal(names(state.Members), hostNames(hs)):
			return fmt.Sprintf("%s sees %v", h.name, names(state.Members))
		case state.Hash != first.Hash:
			return fmt.Sprintf("%s and %s have different tables", h.name, hs[0].name)
		case !slices.EqualFunc(state.Members, first.Members, sameBoot):
			return fmt.Sprintf("%s sees %+v, %s sees %+v", h.name, state.Members, hs[0].name, first.Members)
		}
	}
	return ""
}

// sameBoot: each boot takes its peers' calls at a port of its own.
func sameBoot(a, b cluster.Member) bool { return a.Address == b.Address && a.Leaving == b.Leaving }

func names(members []cluster.Member) []string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	return names
}

func hostNames(hs []*host) []string {
	var names []string
	for _, h := range hs {
		names = append(names, h.name)
	}
	slices.Sort(names)
	return names
}
