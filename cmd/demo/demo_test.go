package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestDemo is the acceptance of the all-in-one. One demo serves all of it, as
// each takes its time to form; so the clients of a limit are told apart.
func TestDemo(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	for _, tt := range []struct {
		name string
		test func(*testing.T, *demo)
	}{
		{"one limit", testOneLimit},
		{"crowd", testCrowd},
		{"slow", testSlow},
		{"status", testStatus},
		{"index", testIndex},
		{"garbage", testGarbage},
		{"forged addresses", testForgedAddresses},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, d) })
	}
}

// One request in ten seconds passes, whichever replica it meets, and whether it
// is a GET or a POST.
func testOneLimit(t *testing.T, d *demo) {
	c := newClient(t, "")

	first := c.get(d.balancer.url() + "/resource/test")
	want(t, first, 200)
	if first.body != `{"message":"This was a GET"}`+"\n" {
		t.Errorf("body %q", first.body)
	}
	second := c.do("POST", d.balancer.url()+"/resource/test", "")
	want(t, second, 429)
	if first.servedBy() == second.servedBy() || !strings.HasPrefix(second.servedBy(), "replica-") {
		t.Errorf("served by %q and %q, want two replicas", first.servedBy(), second.servedBy())
	}
	if retry, err := strconv.Atoi(second.header.Get("Retry-After")); err != nil || retry < 1 || retry > 10 {
		t.Errorf("Retry-After %q, want up to 10", second.header.Get("Retry-After"))
	}
	for name, part := range map[string]string{
		"RateLimit":        `"1 per 10 second";r=0;t=`,
		"RateLimit-Policy": `"1 per 10 second";q=1;w=10`,
		"Content-Type":     "application/problem+json",
	} {
		if got := second.header.Get(name); !strings.Contains(got, part) {
			t.Errorf("%s is %q, want %q in it", name, got, part)
		}
	}
	var problem struct {
		Status   int
		Violated []string `json:"violated-policies"`
	}
	second.json(t, &problem)
	if problem.Status != 429 || len(problem.Violated) != 1 || problem.Violated[0] != "1 per 10 second" {
		t.Errorf("problem %+v", problem)
	}
	for _, r := range d.replicas { // directly, too
		want(t, c.get("http://"+r.server.address()+"/resource/test"), 429)
	}

	want(t, c.get(d.balancer.url()+"/resource/other"), 200) // a bucket of its own
	for range 5 {
		a := c.get(d.balancer.url() + "/test")
		want(t, a, 200)
		if a.body != "Hello, World!" || a.header.Get("RateLimit") != "" || a.header.Get("RateLimit-Policy") != "" {
			t.Errorf("/test says %q with %v", a.body, a.header)
		}
	}
}

// Of requests that come all at once over many connections exactly the limit
// passes. That is promised for what the holder of the key decides; so a machine
// so busy that somebody else had to decide gets another chance.
func testCrowd(t *testing.T, d *demo) {
	c := newClient(t, "")
	const limit, tries = 100, 10
	for try := 1; ; try++ {
		key := fmt.Sprint("bob", try)
		ok, refused, degraded := crowd(c, fmt.Sprintf("%s/try?limit=%d/hour&key=%s", d.balancer.url(), limit, key))
		if degraded > 0 && try < tries {
			t.Logf("%d decisions without the holder of the key", degraded)
			continue
		}
		if ok != limit || refused != crowdRequests-limit {
			t.Errorf("%d × 200 and %d × 429, want %d and %d", ok, refused, limit, crowdRequests-limit)
		}
		want(t, c.get(d.balancer.url()+"/try?limit=100/hour&key=alice"), 200) // another key
		want(t, c.get(d.balancer.url()+"/try?limit=99/hour&key="+key), 200)   // another limit
		return
	}
}

const crowdRequests, crowdConnections = 1000, 50

// crowd asks for url many times at once and counts the answers.
func crowd(c client, url string) (ok, refused, degraded int64) {
	var left, passed, over, alone atomic.Int64
	left.Store(crowdRequests)
	var wg sync.WaitGroup
	for range crowdConnections {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				req, _ := http.NewRequest("GET", url, nil)
				a, err := c.send(req)
				switch {
				case err != nil || a.status != 200 && a.status != 429:
					c.t.Errorf("%v, %d %s", err, a.status, a.body)
				case a.status == 200:
					passed.Add(1)
				default:
					over.Add(1)
				}
				if strings.Contains(a.body, `"degraded":true`) {
					alone.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return passed.Load(), over.Load(), alone.Load()
}

// All replicas show the same cluster, and the balancer is ready with them.
func testStatus(t *testing.T, d *demo) {
	c := newClient(t, "")

	shown := map[string]string{} // by whom
	for range d.replicas {
		a := c.get(d.balancer.url() + "/cluster")
		want(t, a, 200)
		shown[a.servedBy()] = a.body
		var view clusterView
		a.json(t, &view)
		partitions := 0
		for i, m := range view.Members {
			partitions += m.Partitions
			if m.Name != fmt.Sprintf("replica-%d", i+1) || m.Address == "" {
				t.Errorf("member %d is %+v", i, m)
			}
		}
		if len(view.Members) != 3 || partitions != 4096 || len(view.Table) != 16 {
			t.Errorf("%s shows %+v", a.servedBy(), view)
		}
		if a.body != shown["replica-1"] && shown["replica-1"] != "" {
			t.Errorf("%s shows %s, replica-1 %s", a.servedBy(), a.body, shown["replica-1"])
		}
	}
	if len(shown) != 3 {
		t.Errorf("asked %d replicas in 3 requests: not round robin", len(shown))
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		var a answer // of a busy machine's balancer, which isn't ready while a replica is silent
		eventually(t, path, func() bool { a = c.get(d.balancer.url() + path); return a.status == 200 })
		if a.servedBy() != "balancer" {
			t.Errorf("the balancer's own %s was answered by %q", path, a.servedBy())
		}
		want(t, c.get("http://"+d.replicas[1].server.address()+path), 200)
	}
	missing := c.get(d.balancer.url() + "/nowhere")
	want(t, missing, 404)
	if !strings.HasPrefix(missing.servedBy(), "replica-") {
		t.Errorf("404 by %q", missing.servedBy())
	}
}

// Who comes with no path is told which there are.
func testIndex(t *testing.T, d *demo) {
	c := newClient(t, "")
	page := c.get(d.balancer.url() + "/")
	want(t, page, 200)
	paths := regexp.MustCompile(`(?m)^/\S+`).FindAllString(page.body, -1)
	if len(paths) < 10 || !strings.Contains(page.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%q", page.body)
	}
	for _, path := range paths {
		if a := c.get(d.balancer.url() + path); a.status == 404 {
			t.Errorf("%s is in the index, and answers %d", path, a.status)
		}
	}
}

// Not all that comes is a request that makes sense.
func testGarbage(t *testing.T, d *demo) {
	c := newClient(t, "")
	for _, tt := range []struct {
		method, path, body string
		headers            []string
		want               int
	}{
		{"DELETE", "/resource/test", "", nil, 405},
		{"PUT", "/try?limit=1/hour", "", nil, 405},
		{"POST", "/resource/other", "", nil, 405},
		{"OPTIONS", "/nowhere", "", nil, 404},
		{"GET", "/%00%ff/../nowhere", "", nil, 404},
		{"GET", "/try?limit=1/hour&key=%", "", nil, 400},
		{"GET", "/try?%%%", "", nil, 400},
		{"GET", "/slow?ms=soon", "", nil, 400},
		{"POST", "/slow", "", nil, 405},
		{"POST", "/try", strings.Repeat("x", maxForm+1), []string{"Content-Type: application/x-www-form-urlencoded"}, 400},
		{"POST", "/try?limit=1/hour", "x", []string{"Content-Type: ;;;"}, 400},
		{"POST", "/test", strings.Repeat("x", maxBody+1), nil, 413},
		{"GET", "/test", "", []string{"Upgrade: websocket", "Connection: upgrade"}, 200},
		{"GET", "/test", "", []string{"X-Forwarded-For: \x80,,;"}, 200},
	} {
		a := c.do(tt.method, d.balancer.url()+tt.path, tt.body, tt.headers...)
		if a.status != tt.want || a.servedBy() == "" {
			t.Errorf("%s %s: %d by %q, want %d", tt.method, tt.path, a.status, a.servedBy(), tt.want)
		}
	}
}
