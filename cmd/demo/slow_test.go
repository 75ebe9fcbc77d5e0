package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/httpmw"
)

// burst asks for the urls at once, and returns how many answers there were of each
// status, and when the last of each came.
func burst(c client, urls []string) (count map[int]int, last map[int]time.Duration) {
	count, last = map[int]int{}, map[int]time.Duration{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for _, u := range urls {
		wg.Go(func() {
			req, _ := http.NewRequest("GET", u, nil)
			a, err := c.send(req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				c.t.Error(err)
			}
			count[a.status]++
			last[a.status] = time.Since(began)
		})
	}
	wg.Wait()
	return count, last
}

// Of ten requests of one user at once two run, wherever they arrive, and the others
// don't wait for them.
func testSlow(t *testing.T, d *demo) {
	c := newClient(t, "")
	const took = 2 * time.Second
	for _, path := range []string{"/slow?ms=2000&user=alice", "/try?limit=2+concurrent&ms=2000&key=alice"} {
		urls := make([]string, 10)
		for i := range urls {
			urls[i] = d.balancer.url() + path
		}
		count, last := burst(c, urls)
		if count[200] != 2 || count[429] != 8 || last[200] < took || last[429] >= took {
			t.Errorf("%s: %v, the last after %v", path, count, last)
		}
		want(t, c.get(strings.Replace(urls[0], "2000", "0", 1)), 200) // they are over
	}
	// One user's requests are no matter to another.
	count, _ := burst(c, []string{
		d.balancer.url() + "/slow?ms=100&user=bob", d.balancer.url() + "/slow?ms=100&user=bob",
		d.balancer.url() + "/slow?ms=100&user=carol", d.balancer.url() + "/slow?ms=100&user=carol",
		d.balancer.url() + "/slow?ms=100", d.balancer.url() + "/slow?ms=100",
	})
	if count[200] != 6 {
		t.Errorf("three users with two requests each: %v", count)
	}
}

// A client that hangs up has its slot back.
func TestSlowHungUp(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	server := httptest.NewServer(h)
	defer server.Close()
	c := newClient(t, "")
	ctx, hangUp := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for { // a look whether both run may have the slot at the moment
				req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/slow?ms=10000", nil)
				a, err := c.send(req)
				if err != nil {
					return
				}
				if a.status != 429 {
					t.Errorf("got %d, having hung up", a.status)
					return
				}
			}
		})
	}
	eventually(t, "both run", func() bool { return c.get(server.URL+"/slow?ms=0").status == 429 })
	hangUp()
	wg.Wait()
	eventually(t, "both have ended", func() bool { return c.get(server.URL+"/slow?ms=0").status == 200 })
}

func TestSlowRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	for _, query := range []string{"ms=x", "ms=-1", "ms=1.5", "ms=10001", "ms=18446744073709551616", "ms=0x10", "ms=1_0", "ms=+1", "ms=%zz", "ms=1;user=a"} {
		a := ask(h, "GET", "/slow?"+query)
		if a.status != 400 || !strings.Contains(a.body, "ms: ") && !strings.Contains(a.body, "the query can't be read") {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	a := ask(h, "GET", "/slow?ms=0")
	if a.status != 200 || a.header.Get("RateLimit-Policy") != `"2 concurrent";q=2;qu="concurrent-requests"` || a.header.Get("RateLimit") != `"2 concurrent";r=1` {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestParseHold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": usualHold, "0": 0, "10000": maxHold} {
		if got, err := parseHold(url.Values{"ms": {text}}); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !hold(t.Context(), time.Second) || time.Since(began) != time.Second {
			t.Errorf("held for %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if began = time.Now(); hold(ctx, time.Second) || time.Since(began) != time.Millisecond {
			t.Errorf("held for %v though nobody waits", time.Since(began))
		}
	})
}

// Users have nothing to do with addresses that are called like them.
func TestUser(t *testing.T) {
	t.Parallel()
	key := user(httpmw.ClientIP())
	keys := map[string]string{}
	for _, query := range []string{"", "?user=alice", "?user=192.0.2.1", "?user=user+alice"} {
		k, err := key(httptest.NewRequest("GET", "/slow"+query, nil)) // from 192.0.2.1
		if err != nil || keys[k] != "" {
			t.Errorf("%q: %v, the key of %q", query, err, keys[k])
		}
		keys[k] = fmt.Sprintf("%q", query)
	}
}
