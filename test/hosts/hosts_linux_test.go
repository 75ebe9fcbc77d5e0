package hosts

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var figuresFile = flag.String("figures", "", "write the table of figures to this file")

// TestMain makes the test program a replica where it has an order to be one.
func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(orderVariable); ok {
		if err := runReplica(text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestHosts is the suite: see the package comment.
func TestHosts(t *testing.T) {
	asked := os.Getenv("SHOAL_HOSTS")
	if asked == "" {
		t.Skip("takes minutes and needs root; SHOAL_HOSTS=1 asks for it")
	}
	if reason := why(); reason != "" {
		if asked == "required" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	prefix := newRun(t)
	var rows []row
	for i, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			l := newLab(t, fmt.Sprint(prefix, i, "-"), s.hosts, s.classes)
			l.row.scenario = s.name
			s.run(l)
			t.Log(l.row)
			rows = append(rows, l.row)
		})
	}
	t.Logf("figures\n%s", table(rows))
	if *figuresFile != "" {
		if err := os.WriteFile(*figuresFile, []byte(table(rows)), 0o644); err != nil {
			t.Error(err)
		}
	}
}

const (
	timeout = 50 * time.Millisecond // Config.HitTimeout's default
	// allowance is for waits too short to be journaled as stalls: some in a row.
	allowance = 100 * time.Millisecond

	callRate = 300 // of one replica, a second
	callers  = 32  // enough for that rate at the timeout, and more

	calm = 3 * time.Second // of load before a fault, and after it
)

// busy are keys which all replicas together ask for about 40 times a second. Most
// are under a limit of half as much; some were used up before the fault, and some
// are being used up meanwhile, with next to nothing coming back: whatever is
// forgotten about those shows.
func busy() []class {
	return []class{
		{Rule: "steady", Count: 20, Per: time.Second, Keys: 24},
		{Rule: "spent", Count: 50, Per: time.Hour, Keys: 6},
		{Rule: "spending", Count: 400, Per: time.Hour, Keys: 6},
	}
}

// load starts calls on these replicas.
func (l *lab) load(hs ...*host) {
	l.Helper()
	l.all(hs, func(int) command { return command{Do: "load", Rate: callRate, Callers: callers} })
}

// begin brings replicas up and puts them under load for a while.
func (l *lab) begin(hs ...*host) {
	l.Helper()
	l.start(hs...)
	l.load(hs...)
	l.hold(calm, hs...)
}

// start starts a replica on each of the hosts, and waits until all are ready.
func (l *lab) start(hs ...*host) {
	l.Helper()
	for _, h := range hs {
		h.start()
	}
	l.agree(0, l.running()...)
	l.ready(l.running()...)
}

// end goes on for a while with views that agree, and stops the load.
func (l *lab) end() {
	l.Helper()
	l.hold(calm, l.running()...)
	l.all(l.running(), func(int) command { return command{Do: "stop"} })
}

// judge ends all processes and holds what they did against the limits.
func (l *lab) judge(b bound) {
	l.Helper()
	for _, h := range l.running() {
		h.kill()
	}
	var histories []history
	for i, p := range l.past {
		h, err := readJournal(p.journal, p.ended)
		if err != nil {
			l.Fatal(err)
		}
		for j := range h.calls {
			h.calls[j].by = i
		}
		histories = append(histories, h)
	}
	var limits []limit
	for _, c := range l.classes {
		limits = append(limits, slices.Repeat([]limit{c.limit()}, c.Keys)...)
	}
	r := &l.row
	evidence := r.judge(histories, limits, b, timeout, allowance, l.made)
	for _, text := range evidence[:min(len(evidence), 20)] {
		l.Error(text)
	}
	if len(evidence) > 20 {
		l.Errorf("and %d more", len(evidence)-20)
	}
	if r.errors > 0 {
		l.Errorf("%d calls failed", r.errors)
	}
	if r.calls == 0 || r.admitted == 0 || r.admitted == r.calls {
		l.Errorf("%d of %d calls were admitted, which shows nothing", r.admitted, r.calls)
	}
}

// none is the bound of what promises to lose nothing.
func none([]call, limit) int64 { return 0 }

// apart is the bound of two sides that each admit the whole limit for so long. Until
// a side knows that it is one, its calls may get neither holder nor standby, and are
// decided by local shares. Those come on top: no more than there are, nor than
// they make together, which is the limit once more, or 1 at least for each replica.
func apart(d time.Duration, replicas int) bound {
	return func(calls []call, l limit) int64 {
		shares := len(where(calls, func(c call) bool { return c.degraded && c.outcome == allowed }))
		return l.within(d) + min(int64(shares), l.within(d)+int64(replicas))
	}
}

// ips of hosts, as nft writes a set.
func ips(hs []*host) string {
	var all []string
	for _, h := range hs {
		all = append(all, h.ip)
	}
	return "{ " + strings.Join(all, ", ") + " }"
}
