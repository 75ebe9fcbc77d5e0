package bucket

import "sync/atomic"

const (
	heatSlots = 1 << 12
	hotHits   = 10
	hotTime   = 100e6 >> heatTick // ticks
	heatTick  = 20                // log2 of a tick in ns, which is 1.05 ms
)

// manyLeases is from how many leased keys on a key must be hit twice as often to be worth
// another: below, a statement costs more than it saves. A few such keys cost nothing
// worth a thought, and so no key costs many messages. And no more than that are offered
// one in 100 ms: of 10 000 that are hit 60 times a second each, 800 come to 10 hits in
// that time by chance.
const manyLeases = 32

// tick is now in ticks, which go round.
func tick(now int64) uint64 { return uint64(now>>heatTick) & heatTimes }

// over reports whether 100 ms are over at a tick that began at another.
func over(since, at uint64) bool { return (at-since)&heatTimes >= hotTime }

// offers is how many leases were offered to such keys, in 16 bits, since the tick that is
// above them. Of two that are taken at once one may be lost, which comes again.
type offers struct{ atomic.Uint64 }

// take reports whether there was one left.
func (o *offers) take(now int64) bool {
	was := o.Load()
	next, at := was, tick(now)
	if over(was>>heatSince, at) {
		next = at << heatSince
	}
	return next&(1<<heatSince-1) < manyLeases && o.CompareAndSwap(was, next+1)
}

// heat counts the hits of a key that come from one peer, to find those that are
// worth a lease: 10 within 100 ms. It has one place for many of them and loses
// count, but whoever has a place keeps it for 100 ms: of two that are equally hot
// one becomes leased, and makes room for the other.
//
// A place is one word: whose it is in 24 bits, since when in 24 more, whether it was
// offered a lease, and in 15 how many hits there were. Two that write it at once lose a
// count.
type heat [heatSlots]atomic.Uint64

const (
	heatMark  = 40
	heatSince = 16
	offered   = 1 << (heatSince - 1)
	mostHeat  = offered - 1
	heatTimes = 1<<(heatMark-heatSince) - 1
)

// count counts hits, and returns the place and how many there were, with offered: 0 if
// another has the place.
func (t *heat) count(d Digest, peer uint64, hits, now int64) (place *atomic.Uint64, count uint64) {
	id := (d.Lo ^ peer) * 0x9e3779b97f4a7c15
	slot, mark, at := &t[id>>32%heatSlots], id>>heatMark, tick(now)
	was := slot.Load()
	switch since := was >> heatSince & heatTimes; {
	case over(since, at) || was&mostHeat == 0:
		was = mark<<heatMark | at<<heatSince
	case was>>heatMark != mark:
		return nil, 0
	}
	count = was&offered | min(was&mostHeat+uint64(hits), mostHeat)
	slot.Store(was&^(offered|mostHeat) | count)
	return slot, count
}

// hot counts a peer's hits, and reports whether there were enough to lease the key, if its
// rule is leased at all.
func (s *Store) hot(rule *Rule, d Digest, peer uint64, hits, now int64) bool {
	place, count := s.heat.count(d, peer, hits, now)
	switch {
	case count&mostHeat < hotHits || rule.LeaseTerm() == 0:
		return false
	case count >= 2*hotHits: // or offered
		return true
	case s.leased.Load() >= manyLeases || !s.offers.take(now):
		return false
	}
	place.Or(offered)
	return true
}

// mix spreads the bits of x (Steele, Lea and Flood 2014: the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
