package test

import (
	"cmp"
	"slices"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// history is what was asked of one key under one token bucket, and what was
// answered. Nobody knows when between its call and its return a hit was decided, so
// all that is concluded holds for every such moment: the checks raise no false alarm.
// That is the price of looking from outside; the checks that count tokens of a limit
// that never comes back (see debits) have no such slack.
type history struct {
	limit bucket.Limit
	calls []call
}

// call is one call of Take. Times are nanoseconds of one clock, which all replicas
// share in a bubble.
type call struct {
	began, ended int64
	cost         int64
	allowed      bool
	// degraded: it was decided without the holder, which may have debited it as well.
	degraded bool
}

// over returns by how many tokens, rounded up, the allowed calls exceed
// burst + rate·t in the worst interval: that from when one of them was called to when
// one returned, with those within it. It takes O(n log n).
func (h history) over() (tokens int64, worst time.Duration) {
	calls := slices.DeleteFunc(slices.Clone(h.calls), func(c call) bool { return !c.allowed || c.cost == 0 })
	ends := make([]int64, len(calls))
	for i, c := range calls {
		ends[i] = c.ended
	}
	slices.Sort(ends)
	// For one beginning, the peak at an end is cost·Per - end·Count, summed over the
	// calls since the beginning that returned by that end. Going back in time, each
	// call is added to all ends from its own on; ends that no call has reached are
	// below everything.
	peaks := newPeaks(len(ends), func(i int) int64 { return -ends[i]*h.limit.Count - abyss })
	slices.SortFunc(calls, func(a, b call) int { return cmp.Compare(b.began, a.began) })
	most, reached := int64(0), make(map[int]bool, len(ends))
	for i, c := range calls {
		at, _ := slices.BinarySearch(ends, c.ended)
		for reached[at] { // one place for each of those that ended together
			at++
		}
		reached[at] = true
		peaks.add(at, at+1, abyss)
		first, _ := slices.BinarySearch(ends, c.ended)
		peaks.add(first, len(ends), c.cost*int64(h.limit.Per))
		if i+1 < len(calls) && calls[i+1].began == c.began {
			continue
		}
		peak, where := peaks.max(len(ends))
		if excess := peak + c.began*h.limit.Count - h.limit.Capacity()*int64(h.limit.Per); excess > most {
			most, worst = excess, time.Duration(ends[where]-c.began)
		}
	}
	return (most + int64(h.limit.Per) - 1) / int64(h.limit.Per), worst
}

// under returns by how many tokens the worst refusal lacks a reason: with that many
// more admitted before it, it would have been right. A reason is some time since when
// so much was admitted that the bucket couldn't hold what was asked. Refusals without
// the holder aren't looked at; what they or their like may have debited is a reason.
// It takes O(n log n).
func (h history) under() (tokens int64, worst call) {
	per, count := int64(h.limit.Per), h.limit.Count
	var charges, refusals []call
	var times []int64
	for _, c := range h.calls {
		switch {
		case c.allowed || c.degraded:
			charges, times = append(charges, c), append(times, c.ended)
		default:
			refusals, times = append(refusals, c), append(times, c.began)
		}
	}
	slices.Sort(times)
	// The peak at a time is all that was admitted since, plus what comes back by then.
	// Of all times between two returns the latest says most.
	peaks := newPeaks(len(times), func(i int) int64 { return times[i] * count })
	slices.SortFunc(charges, func(a, b call) int { return cmp.Compare(a.began, b.began) })
	slices.SortFunc(refusals, func(a, b call) int { return cmp.Compare(a.ended, b.ended) })
	for _, r := range refusals {
		for len(charges) > 0 && charges[0].began <= r.ended {
			last, _ := slices.BinarySearch(times, charges[0].ended+1)
			peaks.add(0, last, charges[0].cost*per)
			charges = charges[1:]
		}
		now, _ := slices.BinarySearch(times, r.began+1)
		peak, _ := peaks.max(now)
		if reason := peak + r.cost*per - r.began*count - h.limit.Capacity()*per; reason <= 0 && -reason/per+1 > tokens {
			tokens, worst = -reason/per+1, r
		}
	}
	return tokens, worst
}

// admitted is how many tokens passed.
func (h history) admitted() (tokens int64) {
	for _, c := range h.calls {
		if c.allowed {
			tokens += c.cost
		}
	}
	return tokens
}

// abyss is lower than what any sum comes to.
const abyss = int64(1) << 61

// peaks is an array of numbers of which ranges can be raised at once and the first
// that is largest is found, both in O(log n): a segment tree.
type peaks struct {
	size  int
	high  []int64 // of the part below a node, with what was added there
	added []int64 // to all of the part below a node
}

func newPeaks(size int, at func(int) int64) *peaks {
	p := &peaks{size: size, high: make([]int64, 4*size), added: make([]int64, 4*size)}
	var build func(node, from, to int)
	build = func(node, from, to int) {
		if to-from == 1 {
			p.high[node] = at(from)
			return
		}
		middle := (from + to) / 2
		build(2*node, from, middle)
		build(2*node+1, middle, to)
		p.high[node] = max(p.high[2*node], p.high[2*node+1])
	}
	if size > 0 {
		build(1, 0, size)
	}
	return p
}

// add raises the numbers from from up to but without to.
func (p *peaks) add(from, to int, by int64) { p.raise(1, 0, p.size, from, to, by) }

func (p *peaks) raise(node, low, high, from, to int, by int64) {
	switch {
	case from >= high || to <= low:
	case from <= low && high <= to:
		p.high[node] += by
		p.added[node] += by
	default:
		middle := (low + high) / 2
		p.raise(2*node, low, middle, from, to, by)
		p.raise(2*node+1, middle, high, from, to, by)
		p.high[node] = max(p.high[2*node], p.high[2*node+1]) + p.added[node]
	}
}

// max returns the largest of the first to numbers and where it is.
func (p *peaks) max(to int) (peak int64, at int) { return p.look(1, 0, p.size, to) }

func (p *peaks) look(node, low, high, to int) (peak int64, at int) {
	switch {
	case to <= low:
		return -2 * abyss, -1
	case high-low == 1:
		return p.high[node], low
	}
	middle := (low + high) / 2
	if to >= high && p.high[2*node]+p.added[node] == p.high[node] {
		_, at = p.look(2*node, low, middle, to)
		return p.high[node], at
	}
	peak, at = p.look(2*node, low, middle, to)
	if right, where := p.look(2*node+1, middle, high, to); right > peak {
		peak, at = right, where
	}
	return peak + p.added[node], at
}
