package cluster

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

const millisecond = int64(time.Millisecond)

// refusal is what the holder says when it refuses for so long.
func refusal(retry time.Duration) *bucket.Verdict {
	return &bucket.Verdict{RetryAfter: retry, ResetAfter: 2 * retry, Remaining: 3, Limit: 1}
}

func TestWhatADenialRefuses(t *testing.T) {
	var d denial
	var v bucket.Verdict
	refuses := func(n, now int64) bool { _, refused := d.refuses(n, now*millisecond, &v); return refused }
	if refuses(1, 0) || !d.over(0) {
		t.Error("it refuses before it was told to")
	}
	d.note(5, 10*millisecond, 11*millisecond, refusal(100*time.Millisecond), denialCap)
	if refuses(4, 12) || refuses(5, 110) || !refuses(5, 109) || !refuses(9, 12) || d.over(109*millisecond) || !d.over(110*millisecond) {
		t.Error("5 were refused at 10 for 100")
	}
	if refuses(5, 12); v != (bucket.Verdict{Limit: 1, Remaining: 3, RetryAfter: 99 * time.Millisecond, ResetAfter: 199 * time.Millisecond}) {
		t.Errorf("%+v", v)
	}
	d.note(7, 10*millisecond, 12*millisecond, refusal(time.Second), denialCap)
	if !refuses(5, 12) || refuses(7, 110) {
		t.Error("a refusal of more took the place of one of less")
	}
	d.note(2, 10*millisecond, 12*millisecond, refusal(5*time.Millisecond), denialCap)
	if !refuses(2, 14) || refuses(2, 15) {
		t.Error("a refusal of less didn't take the place of one of more")
	}
	d.note(2, 0, 16*millisecond, refusal(5*time.Millisecond), denialCap)
	if refuses(2, 16) {
		t.Error("a refusal was over before it came")
	}
	d.note(2, 20*millisecond, 21*millisecond, &bucket.Verdict{RetryAfter: bucket.Never, ResetAfter: bucket.Never}, denialCap)
	if refuses(2, 520) || !refuses(2, 519) || v.RetryAfter != bucket.Never || v.ResetAfter != bucket.Never {
		t.Errorf("it refuses for ever, or not: %+v", v)
	}
	d.clear(1)
	if !refuses(2, 30) {
		t.Error("less has passed, and it refuses no more")
	}
	d.clear(2)
	if refuses(2, 30) {
		t.Error("as much has passed, and it still refuses")
	}
}

// Readers see a refusal whole, or none.
func TestADenialIsSeenWhole(t *testing.T) {
	k := newHotKey(bucket.Digest{}, bucket.MustRule("api", "1/second"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range int64(20_000) {
			k.mu.Lock()
			k.denial.clear(100)
			n := 1 + i%7
			k.denial.note(n, 0, 1, &bucket.Verdict{RetryAfter: time.Duration(100 * n), ResetAfter: time.Duration(n), Remaining: n, Limit: uint8(n)}, denialCap)
			k.mu.Unlock()
		}
	})
	seen := 0
	for range 20_000 {
		var v bucket.Verdict
		if more, refused := k.denial.refuses(7, 2, &v); refused {
			n := 7 - more
			seen++
			if v != (bucket.Verdict{Limit: uint8(n), Remaining: n, RetryAfter: time.Duration(100*n - 1), ResetAfter: time.Duration(n - 1)}) {
				t.Fatalf("of a refusal of %d: %+v", n, v)
			}
		}
	}
	wg.Wait()
	t.Log(seen, "seen")
}

// What was decided without the holder, for nothing, or before a reset is no reason to
// refuse; a refusal is, until the holder lets as much pass.
func TestWhatIsHeard(t *testing.T) {
	table, h := newHotKeys(), transport.Hit{Digest: bucket.Digest{Hi: 1}, Rule: bucket.MustRule("api", "1/hour"), Tokens: 2}
	const now = millisecond
	refused := transport.Answer{Verdict: bucket.Verdict{RetryAfter: time.Hour}}
	hear := func(a transport.Answer, asked int64, change func(*transport.Hit)) bool {
		h := h
		change(&h)
		table.hear(&h, &a, asked, now)
		k := table.find(h.Digest)
		if k == nil {
			return false
		}
		_, decided := table.decide(k, &question{rule: h.Rule, tokens: 2}, now, new(bucket.Verdict))
		return decided
	}
	same := func(*transport.Hit) {}
	degraded := refused
	degraded.Verdict.Degraded = true
	if hear(degraded, now, same) {
		t.Error("by a copy")
	}
	if hear(refused, now, func(h *transport.Hit) { h.Peek = true }) || hear(refused, now, func(h *transport.Hit) { h.Tokens = 0 }) {
		t.Error("looking")
	}
	table.forget(h.Digest, 7)
	if hear(refused, 7, same) || !hear(refused, 8, same) {
		t.Error("before a reset")
	}
	passed := transport.Answer{Verdict: bucket.Verdict{Allowed: true}}
	if !hear(passed, now, func(h *transport.Hit) { h.Tokens = 1 }) || hear(passed, now, func(h *transport.Hit) { h.Peek = true }) {
		t.Error("after some have passed")
	}
}

// What comes back makes refusals short. Only what a user gives back, which may have been
// lent, says that the rule's keys had better not be leased.
func TestWhatIsGivenBack(t *testing.T) {
	for _, how := range []manner{taking, together} {
		table, rule, now := newHotKeys(), bucket.MustRule("api", "1000/second"), int64(time.Second)
		h, late := transport.Hit{Digest: bucket.Digest{Hi: 1}, Rule: rule, Tokens: 1}, transport.Hit{Digest: bucket.Digest{Hi: 2, Lo: 2}, Rule: rule}
		table.warm(&h, now)
		k := table.find(h.Digest)
		l := k.lease.Load()
		refused := transport.Answer{Verdict: bucket.Verdict{RetryAfter: time.Minute}}
		isRefused := func(at int64) bool {
			_, decided := table.decide(k, &question{rule: rule, tokens: 1}, at, new(bucket.Verdict))
			return decided
		}
		table.hear(&h, &refused, now, now)
		l.scarce.Store(true)
		l.next.Store(2 * now)
		if !isRefused(now) {
			t.Error("nothing is refused")
		}
		table.refund(h.Digest, rule, how, now)
		if isRefused(now) {
			t.Errorf("%d: still refused", how)
		}
		table.hear(&h, &refused, now, now)
		if over := now + int64(returnedCap); !isRefused(over-1) || isRefused(over) {
			t.Errorf("%d: not refused for %v", how, returnedCap)
		}
		table.warm(&late, now)
		if leased := table.find(late.Digest) != nil; leased != (how == together) || l.ended == leased {
			t.Errorf("%d: leased %t, given up %t", how, leased, l.ended)
		}
	}
}

// A key has one place, and none that another needs more.
func TestHotKeysHaveOnePlaceEach(t *testing.T) {
	table, rule := newHotKeys(), bucket.MustRule("api", "1/second")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 20_000 {
				d := bucket.Digest{Hi: random.Uint64N(3), Lo: random.Uint64N(64)*hotSlots + random.Uint64N(4)}
				if k := table.of(d, rule); k.digest != d {
					t.Error("another's place")
				}
			}
		})
	}
	wg.Wait()
	used := map[bucket.Digest]bool{}
	for i := range table.slots {
		if k := table.slots[i].Load(); k != nil {
			if used[k.digest] {
				t.Errorf("%v has two places", k.digest)
			}
			used[k.digest] = true
			table.remove(i, k)
			table.remove(i, k)
		}
	}
	if len(used) != 4 || table.used.Load() != 0 {
		t.Errorf("%d places, and %d after they were given up", len(used), table.used.Load())
	}
}

// A key that comes under other numbers keeps its place, though one has become free where
// it would be looked for first.
func TestOtherNumbersTakeTheSamePlace(t *testing.T) {
	table, rule := newHotKeys(), bucket.MustRule("api", "1/second")
	first, d := bucket.Digest{Hi: 1, Lo: 6}, bucket.Digest{Hi: 2, Lo: 6}
	table.of(first, rule)
	table.of(d, rule)
	table.remove(6, table.find(first))
	table.of(d, bucket.MustRule("api", "2/second"))
	if table.slots[6].Load() != nil || table.find(d) != table.slots[7].Load() || table.used.Load() != 1 {
		t.Errorf("%d places", table.used.Load())
	}
}

// What is leased keeps its place, and what finds none for it is known to nobody.
func TestALeasedKeyKeepsItsPlace(t *testing.T) {
	table, rule := newHotKeys(), bucket.MustRule("api", "1000/second")
	one, other, third := bucket.Digest{Hi: 1, Lo: 6}, bucket.Digest{Hi: 2, Lo: 7}, bucket.Digest{Hi: 3, Lo: 6}
	for _, d := range []bucket.Digest{one, other} {
		table.warm(&transport.Hit{Digest: d, Rule: rule}, 0)
	}
	table.warm(&transport.Hit{Digest: third, Rule: rule}, 0)
	refused := &transport.Answer{Verdict: bucket.Verdict{RetryAfter: time.Second}}
	table.hear(&transport.Hit{Digest: third, Rule: rule, Tokens: 1}, refused, 1, 2)
	if table.find(one) == nil || table.find(other) == nil || table.find(third) != nil || table.of(third, rule) != nil {
		t.Error("a leased key has lost its place")
	}
	table.find(other).lease.Store(nil)
	if k := table.of(third, rule); k == nil || table.find(other) != nil || table.find(one) == nil || table.used.Load() != 2 {
		t.Error("the place of the one that isn't leased is free")
	}
}

// Of a hit that costs more than what was refused nothing is said from here that the
// holder wouldn't say: then it is asked.
func TestWhatIsRefusedToMore(t *testing.T) {
	const limit, penalty = 0, 1
	for _, tt := range []struct {
		rule    string
		by      uint8
		n       int64
		retry   time.Duration
		refused bool
	}{
		{"10/second", limit, 2, 100 * time.Millisecond, true},
		{"10/second", limit, 4, 300 * time.Millisecond, true},
		{"10/second", limit, 11, bucket.Never, true},
		{"10/second; penalty 5/hour", limit, 4, 300 * time.Millisecond, true},
		{"10/second; penalty 5/hour", penalty, 2, 100 * time.Millisecond, true},
		{"10/second; penalty 5/hour", penalty, 4, 0, false},
		{"10/second; penalty 5/hour", penalty, 11, bucket.Never, true},
		{"10/second; 20/minute", limit, 2, 100 * time.Millisecond, true},
		{"10/second; 20/minute", limit, 4, 0, false},
		{"10/second sliding", limit, 4, 0, false},
	} {
		k := newHotKey(bucket.Digest{}, bucket.MustRule("api", tt.rule))
		k.denial.note(2, 0, millisecond, &bucket.Verdict{Limit: tt.by, RetryAfter: 100 * time.Millisecond}, denialCap)
		var v bucket.Verdict
		want := bucket.Verdict{Limit: tt.by, RetryAfter: tt.retry}
		if !tt.refused {
			want = bucket.Verdict{}
		}
		refused := k.refuses(tt.n, millisecond, &v)
		if v.ResetAfter = 0; refused != tt.refused || v != want {
			t.Errorf("%d under %s, refused by %d: %v, %+v; want %+v", tt.n, tt.rule, tt.by, refused, v, want)
		}
	}
}

func TestLongerForMore(t *testing.T) {
	for _, tt := range []struct {
		limit bucket.Limit
		more  int64
		want  time.Duration
	}{
		{bucket.Limit{Count: 10, Per: time.Second}, 3, 300 * time.Millisecond},
		{bucket.Limit{Count: 3, Per: time.Second, Algorithm: bucket.LeakyBucket}, 1, 333333334},
		{bucket.Limit{Count: 3, Per: time.Second, Algorithm: bucket.FixedWindow}, 1, 0},
		{bucket.Limit{Per: time.Second}, 1, 0},
		{bucket.Limit{Count: 1, Per: 200 * 365 * 24 * time.Hour}, 1 << 62, bucket.Never},
		{bucket.Limit{Count: 1, Per: time.Hour}, 1 << 23, bucket.Never},
	} {
		if d := longer(&tt.limit, tt.more); d != tt.want {
			t.Errorf("%d more of %v: %v, want %v", tt.more, tt.limit, d, tt.want)
		}
	}
}

func TestNamesAreForgotten(t *testing.T) {
	var s names
	if s.has("a", 1) || !s.add("a", 1) || s.add("a", 2) || !s.has("a", nameTime) || s.has("a", nameTime+1) {
		t.Error("a name")
	}
	if s.add("a", nameTime) || !s.has("a", 2*nameTime-1) || !s.add("a", 3*nameTime) {
		t.Error("a name that is added again")
	}
	for i := range 3 * mostNames {
		if s.add(fmt.Sprint(i), 5); len(*s.sets.Load()) > mostNames {
			t.Fatal("too many names")
		}
	}
}
