package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is what a running program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a run of the program with its output.
type process struct {
	t              *testing.T
	stdout, stderr output
	interrupt      context.CancelFunc
	exit           chan int
}

func launch(t *testing.T, args ...string) *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{t: t, interrupt: cancel, exit: make(chan int, 1)}
	go func() { p.exit <- run(ctx, args, &p.stdout, &p.stderr) }()
	return p
}

// prints waits for an output and returns the submatches of the pattern.
func (p *process) prints(pattern string) (match []string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := poll(ctx, func() bool { match = re.FindStringSubmatch(p.stdout.String()); return match != nil })
	if err != nil {
		p.t.Fatalf("no %s in %q; %q", pattern, p.stdout.String(), p.stderr.String())
	}
	return match
}

// ends interrupts the run and wants it to end well.
func (p *process) ends() {
	p.t.Helper()
	p.interrupt()
	select {
	case code := <-p.exit:
		if code != 0 {
			p.t.Errorf("exit %d: %s", code, p.stderr.String())
		}
	case <-time.After(patience):
		p.t.Errorf("doesn't end")
	}
}

// hasAnswers reports whether a replica's hits are decided by their owners.
func (c client) hasAnswers(url string) bool {
	for key := range 20 {
		a := c.get(fmt.Sprintf("%s/try?limit=1/second&key=%d&cost=0", url, key))
		if a.status != 200 || !strings.Contains(a.body, `"degraded":false`) {
			return false
		}
	}
	return true
}

func TestRunDemo(t *testing.T) {
	t.Parallel()
	p := launch(t, "-listen", "127.0.0.1:0", "-replicas", "2")
	front := p.prints(`load balancer +(http://\S+)`)[1]
	p.prints(`replica-2 +http://.*gossip`)
	curls := p.prints(`(?s)curl.*curl.*curl.*Ctrl-C`)[0]
	if !strings.Contains(curls, strings.TrimPrefix(front, "http://")) {
		t.Errorf("the curl lines don't name %s:\n%s", front, curls)
	}
	c := newClient(t, "")
	want(t, c.get(front+"/readyz"), 200)
	want(t, c.get(p.prints(`dashboard +(http://\S+/_shoal/)`)[1]), 200)
	want(t, c.get(front+"/_shoal/api/nothing"), 404)

	load := launch(t, "load", "-target", front, "-rate", "200", "-keys", "3", "-limit", "20/second", "-duration", "300ms")
	load.prints(`admitted over the limit: 0`)
	load.ends()
	p.ends()
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(front, "http://"), time.Second); err == nil {
		t.Error("the balancer still listens")
	}
}

// Replicas that know one of the others by its gossip address make one cluster.
func TestRunReplicas(t *testing.T) {
	t.Parallel()
	c := newClient(t, "")
	const address = `replica \S+: (http://\S+), gossip (\S+)`
	a := launch(t, "replica", "-name", "a", "-http", "127.0.0.1:0", "-bind", "127.0.0.1:0", "-hit-timeout", "1s")
	first := a.prints(address)
	b := launch(t, "replica", "-name", "b", "-http", "127.0.0.1:0", "-bind", "127.0.0.1:0", "-hit-timeout", "1s",
		"-seeds", first[2], "-trusted-proxies", "127.0.0.0/8,::1")
	second := b.prints(address)
	want(t, c.get(second[1]+"/healthz"), 200)
	b.prints(`ready: 2 replicas, table`)
	eventually(t, "a knows b", func() bool {
		return c.get(first[1]+"/cluster").body == c.get(second[1]+"/cluster").body
	})
	eventually(t, "both have the other's answers", func() bool {
		return c.hasAnswers(first[1]) && c.hasAnswers(second[1])
	})
	want(t, c.get(first[1]+"/resource/test"), 200)
	want(t, c.get(second[1]+"/resource/test"), 429)
	// b was told to believe this client, and a was not.
	want(t, c.get(second[1]+"/resource/test", "X-Forwarded-For: 192.0.2.1"), 200)
	want(t, c.get(first[1]+"/resource/test", "X-Forwarded-For: 192.0.2.2"), 429)

	b.ends()
	eventually(t, "a is alone", func() bool {
		var view clusterView
		c.get(first[1]+"/cluster").json(t, &view)
		return len(view.Members) == 1
	})
	a.ends()
}

// A fault is one line that says what, and an exit code.
func TestFaults(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := taken.Addr().String()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := gone.Addr().String()
	gone.Close()
	for _, tt := range []struct {
		args string
		code int
		want string // in the one line on standard error
	}{
		{"-replicas 0", 2, "-replicas 0 is not between 1 and"},
		{"-replicas 1000", 2, "-replicas 1000 is not between 1 and"},
		{"-replicas x", 2, `invalid value "x" for flag -replicas`},
		{"-listen nonsense", 2, `-listen: "nonsense" is not host:port`},
		{"-listen :http", 2, `-listen: ":http" has the port "http"`},
		{"-listen 127.0.0.1:65535", 2, "leaves no ports"},
		{"-listen " + used, 1, "address already in use"},
		{"-bogus", 2, "-bogus"},
		{"serve", 2, `unexpected argument "serve"`},
		{"-v replica", 2, `unexpected argument "replica"`},
		{"replica more", 2, `unexpected argument "more"`},
		{"replica -http nonsense", 2, `-http: "nonsense" is not host:port`},
		{"replica -http " + used, 1, "address already in use"},
		{"replica -http 127.0.0.1:0 -bind " + used, 1, "address already in use"},
		{"replica -http 127.0.0.1:0 -bind 127.0.0.1:0 -peer-bind " + used, 1, "address already in use"},
		{"replica -bind nonsense", 2, `-bind: "nonsense" is not host:port`},
		{"replica -bind 0.0.0.0:0", 2, "give -secret-file"},
		{"replica -peer-bind 0.0.0.0:0", 2, "-peer-bind: 0.0.0.0:0 is reachable"},
		{"replica -bind= -seeds 127.0.0.1:7946", 2, "-seeds: a standalone replica"},
		{"replica -seeds 127.0.0.1:x", 2, `-seeds[0]: "127.0.0.1:x"`},
		{"replica -advertise here", 2, "-advertise: "},
		{"replica -name ü", 2, "-name: "},
		{"replica -hit-timeout 1ms", 2, "-hit-timeout: 1ms is not between"},
		{"replica -linger -1s", 2, "-linger -1s is not between 0s and"},
		{"replica -linger 1h", 2, "-linger 1h0m0s is not between 0s and"},
		{"replica -mysql nonsense", 2, `-mysql: want user:password@tcp(host:port)/database`},
		{"-mysql root@tcp(127.0.0.1:3306)/", 2, `there is no database`},
		{"balance -replicas", 2, "flag needs an argument"},
		{"balance -replicas ,", 2, "-replicas: none are given"},
		{"balance -replicas replica", 2, `-replicas: "replica" is not host:port`},
		{"balance -replicas replica:http", 2, `-replicas: "replica:http" has the port "http"`},
		{"balance -replicas a:8080,:8080", 2, `-replicas: ":8080" names no host and port`},
		{"balance -replicas a:0", 2, `-replicas: "a:0" names no host and port`},
		{"balance -listen nonsense", 2, `-listen: "nonsense" is not host:port`},
		{"balance -linger 31s", 2, "-linger 31s is not between 0s and 30s"},
		{"balance -linger -1s", 2, "-linger -1s is not between"},
		{"balance -bogus", 2, "-bogus"},
		{"balance replica", 2, `unexpected argument "replica"`},
		{"balance -listen " + used, 1, "address already in use"},
		{"replica -trusted-proxies 10.0.0.0/33", 2, `-trusted-proxies: "10.0.0.0/33" is not a network`},
		{"replica -trusted-proxies 10.0.0.1,everybody", 2, `-trusted-proxies: "everybody"`},
		{"load -rate 0", 2, "-rate 0 is not between 1 and"},
		{"load -rate much", 2, `invalid value "much" for flag -rate`},
		{"load -keys 0", 2, "-keys 0 is not between 1 and"},
		{"load -skew -1", 2, "-skew -1 is not between 0"},
		{"load -duration 1h", 2, "-duration 1h0m0s is not"},
		{"load -limit ten", 2, `-limit: `},
		{"load -limit 2/concurrent", 2, `-limit: `},
		{"load -limit 5/day;2/calendar", 2, `-limit: `},
		{"load -target 127.0.0.1:8080", 2, `-target "127.0.0.1:8080" is not like http://`},
		{"load -target http://127.0.0.1/test", 2, "a path belongs into -route"},
		{"load -target http://example.com", 2, "give -any-host"},
		{"load -target http://192.0.2.1:80", 2, "give -any-host"},
		{"load -target http://127.0.0.1:99999", 2, "-target: "},
		{"load -route test", 2, `-route "test" doesn't begin with a slash`},
		{"load -route /test -keys 2", 2, "-keys 2: -route has no {key}"},
		{"load -route /try?limit={limit}", 2, "give -limit as well"},
		{"load -duration 1s -target http://" + closed, 1, "nobody answers at http://" + closed},
		{"load more", 2, `unexpected argument "more"`},
	} {
		var stdout, stderr output
		code := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr)
		line := stderr.String()
		if code != tt.code || !strings.HasPrefix(line, "demo: ") || !strings.Contains(line, tt.want) || strings.Count(line, "\n") != 1 || stdout.String() != "" {
			t.Errorf("demo %s: exit %d, %q%q; want %d with %q", tt.args, code, stdout.String(), line, tt.code, tt.want)
		}
	}
}

// The address of a database has a password, which the command line would show to all.
func TestMySQLByTheEnvironment(t *testing.T) {
	t.Setenv(mysqlVariable, "nonsense")
	for _, args := range []string{"", "replica"} {
		var stdout, stderr output
		code := run(t.Context(), strings.Fields(args), &stdout, &stderr)
		if want := "demo: DEMO_MYSQL: want user:password@tcp(host:port)/database"; code != 2 || !strings.HasPrefix(stderr.String(), want) {
			t.Errorf("demo %s: exit %d, %q", args, code, stderr.String())
		}
	}
	const given, set = "a:b@tcp(127.0.0.1:1)/flag", "a:b@tcp(127.0.0.1:1)/environment"
	t.Setenv(mysqlVariable, set)
	for args, want := range map[string]string{"": set, "-mysql " + given: given} {
		var stdout, stderr output
		demo, err1 := parseDemo(strings.Fields(args), &stdout, &stderr)
		replica, err2 := parseReplica(strings.Fields(args), &stdout, &stderr)
		if demo.mysql != want || replica.mysql != want || err1 != nil || err2 != nil {
			t.Errorf("%q: %q, %v and %q, %v", args, demo.mysql, err1, replica.mysql, err2)
		}
	}
	var help output
	if run(t.Context(), []string{"-h"}, &help, &help); strings.Contains(help.String(), set) || !strings.Contains(help.String(), mysqlVariable) {
		t.Errorf("-h says %s", help.String())
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for args, part := range map[string]string{"-h": "-listen host:port", "replica -h": "-seeds host:port,...", "replica --help": "-insecure", "load -h": "-any-host", "balance -h": "-replicas host:port,..."} {
		var stdout, stderr output
		if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), part) || stderr.String() != "" {
			t.Errorf("demo %s: exit %d, %q%q", args, code, stdout.String(), stderr.String())
		}
	}
}

// Being told to end while it starts is no failure.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-listen", "127.0.0.1:0"}, {"replica", "-http", "127.0.0.1:0", "-bind", "127.0.0.1:0"}, {"balance", "-listen", "127.0.0.1:0"}} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var stdout, stderr output
		if code := run(ctx, args, &stdout, &stderr); code != 0 || stderr.String() != "" {
			t.Errorf("%q: exit %d, %q", args, code, stderr.String())
		}
	}
}
