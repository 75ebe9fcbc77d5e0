package dashboard

import (
	"encoding/json"
	"sync"
)

// The kinds of frames.
const (
	tickFrame  = iota // numbers
	wheelFrame        // who holds what
	frames
)

// hub has the latest frame of each kind, for any number of readers, none of whom it
// knows or waits for.
type hub struct {
	mu      sync.Mutex
	latest  [frames]frame
	changed chan struct{} // closed, and replaced, when there is a new one
}

// frame is something in JSON. Its version goes up.
type frame struct {
	version int64
	data    []byte
}

func newHub() *hub { return &hub{changed: make(chan struct{})} }

// publish puts another frame in place of the latest of its kind.
func (h *hub) publish(kind int, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest[kind] = frame{h.latest[kind].version + 1, data}
	close(h.changed)
	h.changed = make(chan struct{})
}

// get returns the latest frames, and the channel that is closed when there are others.
func (h *hub) get() ([frames]frame, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latest, h.changed
}

// encode makes JSON of a value that always marshals.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return data
}
