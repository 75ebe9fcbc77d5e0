package bucket

const (
	heatSlots = 64
	hotHits   = 10
	hotTime   = 100e6 // ns
)

// heat counts the hits of a key that come from one peer, to find those that are
// worth a lease: 10 within 100 ms. It has one place for many of them and loses
// count, but whoever has a place keeps it for 100 ms: of two that are equally hot
// one becomes leased, and makes room for the other.
type heat [heatSlots]struct {
	id    uint64
	since int64
	hits  int64
}

// hot counts hits, and reports whether there were enough.
func (t *heat) hot(d Digest, peer uint64, hits, now int64) bool {
	id := mix(d.Lo ^ mix(peer))
	c := &t[id%heatSlots]
	if now-c.since >= hotTime || c.hits == 0 {
		c.id, c.since, c.hits = id, now, 0
	}
	if c.id != id {
		return false
	}
	c.hits += hits
	return c.hits >= hotHits
}

// mix spreads the bits of x (Steele, Lea and Flood 2014: the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
