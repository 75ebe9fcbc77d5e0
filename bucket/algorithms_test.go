package bucket

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawTerm draws a limit of any algorithm, from tiny to huge and awkward.
func drawTerm(t *rapid.T) term {
	per := rapid.OneOf(
		rapid.Int64Range(1, 50),
		rapid.SampledFrom([]int64{1009, int64(time.Second), int64(time.Hour), 360 * 24 * int64(time.Hour)}),
	).Draw(t, "per")
	l := Limit{
		Algorithm: rapid.SampledFrom([]Algorithm{TokenBucket, LeakyBucket, FixedWindow, SlidingWindow, SlidingLog}).Draw(t, "algorithm"),
		Count:     rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, maxSliding)).Draw(t, "count"),
		Per:       time.Duration(per),
	}
	switch l.Algorithm {
	case TokenBucket, LeakyBucket:
		l.Burst = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 30)).Draw(t, "burst")
	case SlidingLog:
		l.Count = min(l.Count, maxLog)
	case FixedWindow:
		if l.Calendar = rapid.Bool().Draw(t, "calendar"); l.Calendar {
			l.Per = rapid.SampledFrom([]time.Duration{Day, Week, Month, Year}).Draw(t, "unit")
			l.Zone = rapid.SampledFrom([]string{"", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"}).Draw(t, "zone")
			break
		}
		fallthrough
	default:
		l.Aligned = rapid.Bool().Draw(t, "aligned")
	}
	return termOf(t, l)
}

func termOf(t interface{ Fatal(...any) }, l Limit) term {
	r, err := NewRule("r", []Limit{l})
	if err != nil {
		t.Fatal(err)
	}
	return r.terms[0]
}

// memory is what is kept of a key under one limit, as a plain value.
type memory struct {
	State
	log log
}

// take is the term's decision on a value: without a store.
func (m memory) take(t *term, n uint64, now int64) (next memory, wait int64) {
	m = m.at(t, now)
	accounts := []account{{state: m.State, log: m.log, kept: t.window.per}}
	var v Verdict
	if settle(&v, []term{*t}, 1, accounts, n, at(now)); !v.Allowed {
		return m, int64(v.RetryAfter)
	}
	m.State = accounts[0].next
	if t.algorithm == SlidingLog {
		m.log = log{ring: make([]int64, maxLog), n: m.log.n}
		for i := range m.log.n {
			m.log.ring[i] = accounts[0].log.at(i)
		}
		m.log.add(int(n), now)
		m.State = t.window.logState(&m.log)
	}
	return m, 0
}

// at is the memory as it is at now.
func (m memory) at(t *term, now int64) memory {
	if t.algorithm == SlidingLog {
		m.log.expire(t.window.per, now)
		m.State = t.window.logState(&m.log)
	}
	return m
}

func (m memory) left(t *term, now int64) (remaining, reset int64) {
	return t.left(m.at(t, now).State, now)
}

func (m memory) merge(t *term, other memory) memory {
	if t.algorithm != SlidingLog {
		return memory{State: t.algorithm.Merge(m.State, other.State)}
	}
	own := log{ring: make([]int64, maxLog)}
	own.absorb(&m.log)
	own.absorb(&other.log)
	return memory{t.window.logState(&own), own}
}

func (m memory) equal(other memory) bool {
	return m.State == other.State && slices.Equal(m.log.times(), other.log.times())
}

func (l *log) times() (times []int64) {
	for i := range l.n {
		times = append(times, l.at(i))
	}
	return times
}

func (t *term) drawHit(rt *rapid.T) uint64 {
	most := uint64(t.numbers.burst)
	return rapid.OneOf(rapid.Just(uint64(1)), rapid.Uint64Range(0, min(most, 5)), rapid.Uint64Range(0, most)).Draw(rt, "n")
}

// drawGap draws a time to pass that is of the order of what the limit counts in.
func (t *term) drawGap(rt *rapid.T) int64 {
	per := t.numbers.per
	return rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 3),
		rapid.Int64Range(0, max(1, per/max(1, t.numbers.count))), rapid.Int64Range(0, per), rapid.Int64Range(0, 3*per)).Draw(rt, "gap")
}

const epoch = 1_790_000_000_123_456_789

func at(now int64) moment { return moment{now, epoch + now} }

// Whatever the algorithm: what fits is what remains, a wait is exact, a refusal
// changes nothing, and a state that is whole is as good as none.
func TestLawsOfEveryAlgorithm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		term := drawTerm(rt)
		var s memory
		now := rapid.Int64Range(0, 1<<40).Draw(rt, "start")
		for range 40 {
			now += term.drawGap(rt)
			n := term.drawHit(rt)
			before, reset := s.left(&term, now)
			checkReset(rt, &term, s, now, before, reset)
			next, wait := s.take(&term, n, now)
			if fits := int64(n) <= before; fits != (wait == 0) {
				rt.Fatalf("%+v: %d of %d remaining, wait %d", term.numbers, n, before, wait)
			}
			if wait == 0 {
				if after, _ := next.left(&term, now); after != before-int64(n) {
					rt.Fatalf("%+v: %d left after %d of %d", term.numbers, after, n, before)
				}
				s = next
				continue
			}
			if _, again := s.take(&term, n, now+wait); again != 0 {
				rt.Fatalf("%+v: %d tokens must wait %d more after waiting %d", term.numbers, n, again, wait)
			}
			if _, again := s.take(&term, n, now+wait-1); again == 0 {
				rt.Fatalf("%+v: %d tokens pass a nanosecond before %d", term.numbers, n, wait)
			}
		}
	})
}

func checkReset(rt *rapid.T, term *term, s memory, now, remaining, reset int64) {
	whole := term.numbers.burst
	if s.at(term, now).full(now) && (remaining != whole || reset != 0) {
		rt.Fatalf("%+v: a full state has %d left and %d to wait", term.numbers, remaining, reset)
	}
	if left, _ := s.left(term, now+reset); left != whole {
		rt.Fatalf("%+v: %d of %d left when it should be whole", term.numbers, left, whole)
	}
	if reset == 0 {
		return
	}
	if left, _ := s.left(term, now+reset-1); left == whole {
		rt.Fatalf("%+v: whole a nanosecond before %d", term.numbers, reset)
	}
}

// Copies of a state that went different ways merge to one that knows at least
// what each of them does, in whatever order they meet.
func TestMergeOfEveryAlgorithm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		term := drawTerm(rt)
		var copies [3]memory
		now := rapid.Int64Range(0, 1<<40).Draw(rt, "start")
		for range 20 {
			now += term.drawGap(rt)
			i := rapid.IntRange(0, 2).Draw(rt, "copy")
			if next, wait := copies[i].take(&term, term.drawHit(rt), now); wait == 0 {
				copies[i] = next
			}
			if j := rapid.IntRange(0, 5).Draw(rt, "sync"); j < 3 {
				copies[i] = copies[i].merge(&term, copies[j])
			}
			checkMerge(rt, &term, copies, now)
		}
	})
}

func checkMerge(rt *rapid.T, term *term, c [3]memory, now int64) {
	ab := c[0].merge(term, c[1])
	if !ab.equal(c[1].merge(term, c[0])) || !ab.merge(term, c[2]).equal(c[0].merge(term, c[1].merge(term, c[2]))) ||
		!ab.merge(term, ab).equal(ab) || !ab.merge(term, c[0]).equal(ab) {
		rt.Fatalf("%+v: merging %+v depends on the order", term.numbers, c)
	}
	if c[0].seq != c[1].seq && term.windowed() {
		return // of two windows the newer counts alone, or the overlap of both
	}
	a, _ := c[0].left(term, now)
	b, _ := c[1].left(term, now)
	if both, _ := ab.left(term, now); both > min(a, b) {
		rt.Fatalf("%+v: %d and %d left merge to %d", term.numbers, a, b, both)
	}
}

// windowModel is the obviously right counterpart of the windows: every hit is kept.
type windowModel struct {
	term *term
	hits []struct {
		window int64
		n      uint64
	}
	start int64 // of window 0
	begun bool
}

// window is the number of the window that now is in, and how far in it is.
func (m *windowModel) window(now int64) (k, into int64) {
	per := m.term.numbers.per
	k = (now - m.start) / per
	return k, now - m.start - k*per
}

// admit decides by the definition, in rational numbers.
func (m *windowModel) admit(n uint64, now int64) bool {
	per := m.term.numbers.per
	if k, _ := m.window(now); !m.begun || k >= m.term.algorithm.windows() && m.last() < k-m.term.algorithm.windows()+1 {
		m.hits, m.begun, m.start = nil, true, now
		if m.term.numbers.aligned {
			m.start -= (epoch + now) % per
		}
	}
	k, into := m.window(now)
	weight := new(big.Rat)
	for _, h := range m.hits {
		share := new(big.Rat)
		switch {
		case h.window == k:
			share.SetInt64(1)
		case h.window == k-1 && m.term.algorithm == SlidingWindow:
			share.SetFrac64(per-into, per)
		}
		weight.Add(weight, share.Mul(share, new(big.Rat).SetInt(new(big.Int).SetUint64(h.n))))
	}
	whole := new(big.Int).Quo(weight.Num(), weight.Denom()) // what is left of a token doesn't count
	if whole.Add(whole, new(big.Int).SetUint64(n)).Cmp(big.NewInt(m.term.numbers.count)) > 0 {
		return false
	}
	if n > 0 {
		m.hits = append(m.hits, struct {
			window int64
			n      uint64
		}{k, n})
	}
	return true
}

// last is the number of the last window with a hit.
func (m *windowModel) last() int64 {
	if len(m.hits) == 0 {
		return -1 << 62
	}
	return m.hits[len(m.hits)-1].window
}

func TestWindowsAgreeWithTheirDefinition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		term := drawTerm(rt)
		if !term.windowed() || term.calendar || term.algorithm == SlidingLog {
			return // those have models of their own
		}
		m := windowModel{term: &term}
		var s State
		now := rapid.Int64Range(0, 1<<40).Draw(rt, "start")
		for range 60 {
			now += term.drawGap(rt)
			n := max(1, term.drawHit(rt))
			next, wait := term.take(s, n, at(now))
			if want := m.admit(n, now); want != (wait == 0) {
				rt.Fatalf("%+v at %d: %d tokens: wait %d, the definition says %v", term.numbers, now, n, wait, want)
			}
			if wait == 0 {
				s = next
			}
		}
	})
}
