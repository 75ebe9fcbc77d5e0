package bucket

// Counts is how many hits Store.TakeCommon has admitted and refused. It belongs to one
// store, under whose locks it is: so counting takes a nanosecond, where an atomic
// addition takes six. It is 4 kB, and the zero value is ready.
type Counts [shardCount]struct{ admitted, refused int64 }

// add counts a hit, unless c is nil. The shard's mutex is held.
func (c *Counts) add(d Digest, allowed bool) {
	switch {
	case c == nil:
	case allowed:
		c[shardOf(d)].admitted++
	default:
		c[shardOf(d)].refused++
	}
}

// Counted returns what has been counted in c by this store. It takes each of the
// store's 256 locks for a moment, and is safe for concurrent use.
func (s *Store) Counted(c *Counts) (admitted, refused int64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		admitted += c[i].admitted
		refused += c[i].refused
		sh.mu.Unlock()
	}
	return admitted, refused
}
