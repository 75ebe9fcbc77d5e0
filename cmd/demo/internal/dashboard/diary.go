package dashboard

import (
	"sync"
	"time"
)

// diaryLength is how many events are kept.
const diaryLength = 200

// event is something that happened.
type event struct {
	ID   int64  `json:"id"` // from 1
	Time int64  `json:"t"`  // milliseconds since the start
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// diary has the latest events. The zero value is empty, and it is safe for concurrent use.
type diary struct {
	mu     sync.Mutex
	events []event
	last   int64
}

func (d *diary) write(at time.Duration, kind, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.events = append(d.events, event{d.last, at.Milliseconds(), kind, text})
	if len(d.events) > diaryLength {
		d.events = d.events[len(d.events)-diaryLength:]
	}
}

// after returns what is kept of the events after one.
func (d *diary) after(id int64) []event {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, e := range d.events {
		if e.ID > id {
			return append([]event(nil), d.events[i:]...)
		}
	}
	return nil
}
