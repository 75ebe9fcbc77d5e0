package hosts

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// script writes calls down by their instants of decision, each somewhere within a
// call of random length, as clients see them.
type script struct {
	rand  *rand.Rand
	calls []call
}

func (s *script) add(decided int64, pass bool) {
	c := call{at: decided - s.rand.Int64N(20*ms), end: decided + s.rand.Int64N(20*ms), outcome: refused}
	if pass {
		c.outcome = allowed
	}
	s.calls = append(s.calls, c)
}

// tokens is a token bucket as simple as can be, in units of 1/per tokens.
type tokens struct {
	limit
	filled, last int64
}

func newTokens(l limit) *tokens { return &tokens{limit: l, filled: l.burst * int64(l.per)} }

func (b *tokens) take(now, n int64) bool {
	b.filled = min(b.burst*int64(b.per), b.filled+(now-b.last)*b.count)
	b.last = now
	if b.filled < n*int64(b.per) {
		return false
	}
	b.filled -= n * int64(b.per)
	return true
}

// steps calls f at random instants, up to 20 s.
func (s *script) steps(f func(now int64)) {
	for now := s.rand.Int64N(50 * ms); now < 20_000*ms; now += s.rand.Int64N(50 * ms) {
		f(now)
	}
}

// A correct bucket gives no complaint, whatever the intervals. Each mutant breaks
// it in one way, and the checker must say which.
func TestCheckerTellsRightFromWrong(t *testing.T) {
	l := limit{count: 20, per: time.Second, burst: 20}
	for _, tt := range []struct {
		name       string
		run        func(s *script)
		over, lost bool
	}{
		{"right", func(s *script) {
			b := newTokens(l)
			s.steps(func(now int64) { s.add(now, b.take(now, 1)) })
		}, false, false},
		{"an unknown outcome was charged", func(s *script) {
			b := newTokens(l)
			s.steps(func(now int64) {
				s.add(now, b.take(now, 1))
				if s.rand.IntN(5) == 0 && b.take(now, 1) {
					s.calls = append(s.calls, call{at: now - ms, end: now + ms, outcome: open})
				}
			})
		}, false, false},
		{"forgets everything once", func(s *script) {
			b, forgetful := newTokens(l), true
			s.steps(func(now int64) {
				if forgetful && now > 10_000*ms {
					b.filled, forgetful = b.burst*int64(b.per), false
				}
				s.add(now, b.take(now, 1))
			})
		}, true, false},
		{"two replicas decide", func(s *script) {
			a, b := newTokens(l), newTokens(l)
			s.steps(func(now int64) {
				s.add(now, a.take(now, 1))
				s.add(now, b.take(now, 1))
			})
		}, true, false},
		{"refills a little too fast", func(s *script) {
			b := newTokens(limit{count: 24, per: time.Second, burst: 20})
			s.steps(func(now int64) { s.add(now, b.take(now, 1)) })
		}, true, false},
		{"a burst too large", func(s *script) {
			b := newTokens(limit{count: 20, per: time.Second, burst: 30})
			s.steps(func(now int64) { s.add(now, b.take(now, 1)) })
		}, true, false},
		{"charges twice", func(s *script) {
			b := newTokens(l)
			s.steps(func(now int64) { s.add(now, b.take(now, 2)) })
		}, false, true},
		{"charges refusals too", func(s *script) {
			b := newTokens(l)
			s.steps(func(now int64) {
				pass := b.take(now, 1)
				if !pass {
					b.filled -= int64(b.per) / 2
				}
				s.add(now, pass)
			})
		}, false, true},
		{"refuses one that could pass", func(s *script) {
			b := newTokens(l)
			s.steps(func(now int64) {
				if len(s.calls) == 10 {
					s.add(now, false)
					return
				}
				s.add(now, b.take(now, 1))
			})
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(20) {
				s := &script{rand: rand.New(rand.NewPCG(seed, 1))}
				tt.run(s)
				s.rand.Shuffle(len(s.calls), func(i, j int) { s.calls[i], s.calls[j] = s.calls[j], s.calls[i] })
				over := overAdmitted(s.calls, l).by
				lost, _ := shortage(s.calls, l, 0)
				if over > 0 != tt.over || lost > 0 != tt.lost {
					t.Fatalf("seed %d: %d over-admitted, %d lost", seed, over, lost)
				}
			}
		})
	}
}

func TestOverAdmittedCounts(t *testing.T) {
	l := limit{count: 10, per: time.Hour, burst: 10}
	for extra := range int64(4) {
		var calls []call
		for i := range 10 + extra {
			calls = append(calls, call{at: i * ms, end: i*ms + 2*ms, outcome: allowed}, call{at: i, end: i + 1, outcome: refused})
		}
		if got := overAdmitted(calls, l).by; got != extra {
			t.Errorf("%d extra: counted %d", extra, got)
		}
	}
}

// The refill between two calls is given in full, to the nanosecond.
func TestCheckerIsExact(t *testing.T) {
	l := limit{count: 1, per: time.Second, burst: 1}
	at := func(at, end int64, o outcome) call { return call{at: at, end: end, outcome: o} }
	second := int64(time.Second)
	for _, tt := range []struct {
		calls      []call
		travel     time.Duration
		over, lost int64
	}{
		{[]call{at(0, 5, allowed), at(6, second, allowed)}, 0, 0, 0}, // at 0 and a second later
		{[]call{at(0, 5, allowed), at(6, second-1, allowed)}, 0, 1, 0},
		{[]call{at(0, 5, allowed), at(second+4, second+9, refused)}, 0, 0, 0}, // at 5 and less than a second later
		{[]call{at(0, 5, allowed), at(second+5, second+9, refused)}, 0, 0, 1},
		{[]call{at(0, 5, allowed), at(second+5, second+9, refused)}, 1, 0, 0},
		{[]call{at(0, 5, failed), at(6, 7, refused)}, 0, 0, 0}, // may have been charged
		{[]call{at(0, 5, open), at(6, 7, refused)}, 0, 0, 0},
		{[]call{at(0, 5, refused), at(6, 7, refused)}, 0, 0, 1},
		{[]call{at(8, 9, allowed), at(6, 7, refused)}, 0, 0, 1}, // charged later
	} {
		over := overAdmitted(tt.calls, l).by
		if lost, _ := shortage(tt.calls, l, tt.travel); over != tt.over || lost != tt.lost {
			t.Errorf("%+v: %d over-admitted, %d lost; want %d and %d", tt.calls, over, lost, tt.over, tt.lost)
		}
	}
	nothing := limit{count: 0, per: time.Second}
	if lost, _ := shortage([]call{at(0, 1, refused)}, nothing, 0); lost != 0 {
		t.Error("a limit of nothing refuses everything")
	}
}

// One lost token refuses many calls, and is counted once.
func TestShortageCounts(t *testing.T) {
	l := limit{count: 10, per: time.Second, burst: 10}
	for lost := range int64(4) {
		b := newTokens(l)
		b.filled -= lost * int64(b.per)
		s := &script{rand: rand.New(rand.NewPCG(1, 1))}
		for now := int64(0); now < 5000*ms; now += 20 * ms {
			s.add(now, b.take(now, 1))
		}
		got, c := shortage(s.calls, l, 0)
		if got != lost || got > 0 && c.outcome != refused {
			t.Errorf("%d lost: found %d at %+v", lost, got, c)
		}
	}
}

func TestLateLeavesStallsOut(t *testing.T) {
	timeout, allowance := 50*time.Millisecond, 10*time.Millisecond
	h := history{
		calls: []call{
			{at: 0, end: 60 * ms, outcome: allowed},
			{at: 100 * ms, end: 161 * ms, outcome: refused},
			{at: 200 * ms, end: 300 * ms, outcome: failed},  // 40 ms of it stalled
			{at: 400 * ms, end: 500 * ms, outcome: allowed}, // 39 ms
			{at: 600 * ms, end: 9000 * ms, outcome: open},
		},
		stalls: []span{{190 * ms, 210 * ms}, {250 * ms, 280 * ms}, {461 * ms, 900 * ms}},
	}
	want := lateness{calls: 2, worst: 61 * time.Millisecond, slowest: h.calls[1]}
	if got := late(h.calls, h.stalls, timeout, allowance); got != want {
		t.Errorf("late is %+v, want %+v", got, want)
	}
}

func TestExcusedByStalls(t *testing.T) {
	const timeout = 48 * time.Millisecond
	stalls := []span{{0, 5 * ms}, {2 * ms, 9 * ms}} // of two processes
	for _, tt := range []struct {
		call call
		want int64
	}{
		{call{at: 0, end: 20 * ms, outcome: allowed, degraded: true}, 1},
		{call{at: 0, end: 9*ms - 1, outcome: allowed, degraded: true}, 0},
		{call{at: 48 * ms, end: 60 * ms, outcome: allowed, degraded: true}, 1}, // just after
		{call{at: 48*ms + 1, end: 60 * ms, outcome: allowed, degraded: true}, 0},
		{call{at: 0, end: 20 * ms, outcome: allowed}, 0},
		{call{at: 0, end: 20 * ms, outcome: refused, degraded: true}, 0},
	} {
		if got := excused([]call{tt.call}, stalls, timeout); got != tt.want {
			t.Errorf("%+v: excused %d, want %d", tt.call, got, tt.want)
		}
	}
}

func TestByKey(t *testing.T) {
	a, b, c := call{at: 1, key: 2}, call{at: 2, key: 0}, call{at: 3, key: 2}
	got := byKey([]history{{calls: []call{a, b}}, {calls: []call{c}}}, 3)
	if want := [][]call{{b}, nil, {a, c}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
