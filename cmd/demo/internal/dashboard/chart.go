package dashboard

import "sync"

// chartLength is a minute of snapshots.
const chartLength = 60 * 5

// chart has the last minute of what the charts draw, for a page that is opened in the
// middle. The zero value is empty, and it is safe for concurrent use.
type chart struct {
	mu      sync.Mutex
	samples []sample
}

// sample is one moment: the counters of each replica, and the line of the limit.
type sample struct {
	Time     int64         `json:"t"`
	Line     float64       `json:"line"`
	Admitted map[int]int64 `json:"a"` // by number
	Refused  map[int]int64 `json:"r"`
}

func (c *chart) add(s snapshot) {
	one := sample{Time: s.Time, Admitted: map[int]int64{}, Refused: map[int]int64{}}
	for _, r := range s.Replicas {
		one.Admitted[r.Number], one.Refused[r.Number] = r.Admitted, r.Refused
	}
	if s.Load != nil && s.Load.Running {
		one.Line = s.Load.Line
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.samples = append(c.samples, one); len(c.samples) > chartLength {
		c.samples = c.samples[len(c.samples)-chartLength:]
	}
}

// history is a frame of all of it.
func (c *chart) history() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.samples == nil {
		return []byte("[]")
	}
	return encode(c.samples)
}
