package bucket

// Concurrent is the algorithm of a limit on what runs at a time.
const Concurrent Algorithm = 5

// Concurrent returns how many requests may run at a time, if that is what the rule
// limits.
func (r *Rule) Concurrent() (limit int64, ok bool) {
	return r.limits[0].Count, r.limits[0].Algorithm == Concurrent
}
