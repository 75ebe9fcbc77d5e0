package test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const ms = int64(time.Millisecond)

// instant is an allowed or refused call of one token that took no time.
func instant(at int64, allowed bool) call { return call{at * ms, at * ms, 1, allowed, false} }

// The checker must see what is wrong, by how much, and nothing else.
func TestTheCheckerKnowsGoodFromBad(t *testing.T) {
	three := bucket.Limit{Count: 1, Per: time.Second, Burst: 3}
	for _, tt := range []struct {
		name        string
		calls       []call
		over, under int64
	}{
		{"nothing", nil, 0, 0},
		{"the burst", []call{instant(0, true), instant(0, true), instant(0, true)}, 0, 0},
		{"one more", []call{instant(0, true), instant(0, true), instant(0, true), instant(0, true)}, 1, 0},
		{"one more, a nanosecond too early", []call{instant(0, true), instant(0, true), instant(0, true), {1000*ms - 1, 1000*ms - 1, 1, true, false}}, 1, 0},
		{"one more, in time", []call{instant(0, true), instant(0, true), instant(0, true), instant(1000, true)}, 0, 0},
		{"one more, that may have waited until then", []call{instant(0, true), instant(0, true), instant(0, true), {0, 1000 * ms, 1, true, false}}, 0, 0},
		{"a cost beyond the burst", []call{{0, 0, 7, true, false}}, 4, 0},
		{"twice the burst a little later", []call{{0, 0, 3, true, false}, {500 * ms, 500 * ms, 3, true, false}}, 3, 0},
		{"an excess long after the beginning", []call{instant(0, true), {90000 * ms, 90000 * ms, 3, true, false}, {91000 * ms, 91000 * ms, 3, true, false}}, 2, 0},

		{"refused when empty", []call{{0, 0, 3, true, false}, instant(0, false)}, 0, 0},
		{"refused until one is back", []call{{0, 0, 3, true, false}, {1000*ms - 1, 1000*ms - 1, 1, false, false}}, 0, 0},
		{"refused when one is back", []call{{0, 0, 3, true, false}, instant(1000, false)}, 0, 1},
		{"refused when full", []call{instant(0, false)}, 0, 3},
		{"too much is refused", []call{{0, 0, 4, false, false}}, 0, 0},
		{"the whole is refused when full", []call{{0, 0, 3, false, false}}, 0, 1},
		{"refused while others are under way", []call{{0, 50 * ms, 3, true, false}, {10 * ms, 20 * ms, 1, false, false}}, 0, 0},
		{"refused before others were asked", []call{{30 * ms, 50 * ms, 3, true, false}, {10 * ms, 20 * ms, 1, false, false}}, 0, 3},
		{"refused though only two may have passed", []call{{0, 50 * ms, 2, true, false}, {10 * ms, 20 * ms, 1, false, false}}, 0, 1},
		{"refused for what a silent holder may have debited", []call{{0, 50 * ms, 3, false, true}, {10 * ms, 90 * ms, 1, false, false}}, 0, 0},
		{"a policy refuses", []call{{0, 50 * ms, 1, false, true}}, 0, 0},
	} {
		h := history{three, tt.calls}
		over, _ := h.over()
		under, _ := h.under()
		if over != tt.over || under != tt.under {
			t.Errorf("%s: %d over, %d under; want %d and %d", tt.name, over, under, tt.over, tt.under)
		}
	}
}

// Both checks say what looking at every interval says.
func TestTheCheckerLooksAtEveryInterval(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	bad := 0
	for range 2000 {
		h := history{limit: bucket.Limit{Count: 1 + random.Int64N(4), Per: time.Second, Burst: 1 + random.Int64N(9)}}
		for range random.IntN(24) {
			began := random.Int64N(3000) * ms
			h.calls = append(h.calls, call{began, began + random.Int64N(4)*random.Int64N(200)*ms, random.Int64N(4), random.IntN(4) > 0, random.IntN(5) == 0})
		}
		over, _ := h.over()
		under, _ := h.under()
		if want := h.overEverywhere(); over != want {
			t.Fatalf("%d over, want %d: %+v", over, want, h)
		}
		if want := h.underEverywhere(); under != want {
			t.Fatalf("%d under, want %d: %+v", under, want, h)
		}
		if over > 0 && under > 0 {
			bad++
		}
	}
	if bad < 200 {
		t.Errorf("a poor sample: %d of 2000 are bad both ways", bad)
	}
}

func (h history) overEverywhere() (tokens int64) {
	for _, first := range h.calls {
		for _, last := range h.calls {
			passed := int64(0)
			for _, c := range h.calls {
				if c.allowed && c.began >= first.began && c.ended <= last.ended {
					passed += c.cost
				}
			}
			if t := last.ended - first.began; passed > 0 && t >= 0 {
				excess := (passed-h.limit.Capacity())*int64(h.limit.Per) - t*h.limit.Count
				tokens = max(tokens, (excess+int64(h.limit.Per)-1)/int64(h.limit.Per))
			}
		}
	}
	return tokens
}

func (h history) underEverywhere() (tokens int64) {
	for _, r := range h.calls {
		if r.allowed || r.degraded {
			continue
		}
		for lack := int64(0); ; lack++ {
			if h.reason(r, r.began, lack) {
				break
			}
			found := false
			for _, c := range h.calls {
				found = found || h.reason(r, min(c.ended, r.began), lack)
			}
			if found {
				break
			}
			tokens = max(tokens, lack+1)
		}
	}
	return tokens
}

// reason reports whether so much has passed since a time, with lack tokens more, that
// r had to be refused.
func (h history) reason(r call, since, lack int64) bool {
	passed := r.cost + lack
	for _, c := range h.calls {
		if (c.allowed || c.degraded) && c.ended >= since && c.began <= r.ended {
			passed += c.cost
		}
	}
	return (passed-h.limit.Capacity())*int64(h.limit.Per) > (r.began-since)*h.limit.Count
}

// What the stories of the whole cluster record must pass for a bucket that is right.
func TestTheCheckerTakesABucketForRight(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 50 {
		rule := bucket.MustRule("api", []string{"5/second burst 3", "100/second", "1000/minute burst 1", "3/second burst 20"}[i%4])
		store := bucket.NewStore(bucket.StoreConfig{})
		h := history{limit: rule.Limits()[0]}
		for now := int64(0); now < 3000*ms; now += random.Int64N(20 * ms) {
			cost := 1 + random.Int64N(2)
			d := store.Take(rule, "alice", cost, now)
			h.calls = append(h.calls, call{now - random.Int64N(9*ms), now + random.Int64N(9*ms), cost, d.Allowed, false})
		}
		over, _ := h.over()
		under, _ := h.under()
		if over != 0 || under != 0 {
			t.Fatalf("%v: %d over, %d under", rule, over, under)
		}
	}
}
