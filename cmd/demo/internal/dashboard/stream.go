package dashboard

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// maxStreams is how many browsers are shown anything.
	maxStreams = 64
	// writeTime is how long a browser may take for what it is sent, before it is hung up on.
	writeTime = 10 * time.Second
	// aliveInterval is how often something is sent if nothing happens.
	aliveInterval = 15 * time.Second
)

// stream sends a browser the latest frames, as fast as it takes them, and at most as they
// come; what it misses it doesn't need.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request) {
	if d.streams.Add(1) > maxStreams {
		d.streams.Add(-1)
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d browsers are looking already", maxStreams))
		return
	}
	defer d.streams.Add(-1)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // it stays as long as it likes
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	s := sending{w: w, control: control}
	s.send("history", d.chart.history())
	var sent [frames]int64
	var read int64 // of the diary
	for s.err == nil {
		latest, changed := d.hub.get()
		for kind, name := range [frames]string{tickFrame: "tick", wheelFrame: "wheel"} {
			if f := latest[kind]; f.version > sent[kind] {
				sent[kind] = f.version
				s.send(name, f.data)
			}
		}
		if events := d.diary.after(read); len(events) > 0 {
			read = events[len(events)-1].ID
			s.send("events", encode(events))
		}
		s.flush()
		select {
		case <-changed:
		case <-time.After(aliveInterval):
			s.send("alive", []byte("null"))
		case <-r.Context().Done():
			return
		case <-d.ctx.Done():
			return
		}
	}
}

// sending writes events until one can't be written.
type sending struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// send writes an event; data has no line ends.
func (s *sending) send(name string, data []byte) {
	if s.err != nil {
		return
	}
	if s.err = s.control.SetWriteDeadline(time.Now().Add(writeTime)); s.err == nil {
		_, s.err = fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", name, data)
	}
}

func (s *sending) flush() {
	if s.err == nil {
		s.err = s.control.Flush()
	}
}
