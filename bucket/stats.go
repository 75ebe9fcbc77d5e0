package bucket

// Stats is what a Store holds, and what has become of its keys.
type Stats struct {
	// Entries is one for each limit of each key that isn't full, with those full ones
	// that haven't been dropped yet. Overflow is how many of them are shared by keys that
	// found no room.
	Entries, Overflow int
	// Bytes is the memory of the tables and logs, and MaxBytes its bound, or 0.
	Bytes, MaxBytes int
	// Overflowed counts hits that were decided by an overflow entry, Dropped the full
	// buckets that were dropped, which loses nothing. Limits is how many limits with
	// different names or numbers have entries, of at most StoreConfig.MaxLimits.
	Overflowed, Dropped int64
	Limits              int
	// Unmerged counts states of copies that were dropped because so many limits were in
	// use already: their keys may have one burst more.
	Unmerged int64
}

// Stats returns a snapshot. It locks one shard of 256 after the other, each for some
// nanoseconds.
func (s *Store) Stats() (stats Stats) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		t := &sh.table
		stats.Entries += int(t.used)
		stats.Overflow += t.aside.shared
		stats.Bytes += len(t.slots) * entryBytes
		if t.logs != nil {
			stats.Bytes += t.logs.bytes
		}
		stats.MaxBytes += t.aside.budget
		stats.Overflowed += int64(t.aside.overflowed)
		stats.Dropped += int64(t.aside.dropped)
		stats.Unmerged += int64(t.aside.unmerged)
		sh.mu.Unlock()
	}
	s.limits.mu.RLock()
	defer s.limits.mu.RUnlock()
	stats.Limits = len(s.limits.index)
	return stats
}
