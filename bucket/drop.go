package bucket

// Drop forgets all that is known of a partition's keys. It is for copies that
// somebody else keeps: those keys' limits are whole here from then on.
func (s *Store) Drop(partition int) {
	sh := &s.shards[partition%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for hi, l := range s.lent[partition%shardCount].leases {
		if partitionOf(hi) == partition {
			s.end(l)
		}
	}
	t := &sh.table
	for i := 0; i < len(t.slots); {
		if e := &t.slots[i]; e.limit != 0 && partitionOf(e.hi) == partition {
			t.remove(i) // and look again: another entry may have moved here
			continue
		}
		i++
	}
	t.aside.received[partition/shardCount], t.aside.folded[partition/shardCount] = 0, false
}
