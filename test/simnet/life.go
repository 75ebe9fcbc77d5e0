package simnet

import "syscall"

// Kill ends the program on h, as kill -9 does. Its listeners close and its streams
// are reset: the peers read what was sent before, then ECONNRESET. Its own calls
// fail with net.ErrClosed. The machine still answers, so new dials to it are
// refused. A crashed host stays crashed.
func (h *Host) Kill() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.state == up {
		h.killLocked()
	}
}

func (h *Host) killLocked() {
	h.state = killed
	h.closePortsLocked()
	for c := range h.conns {
		c.abortLocked()
	}
}

// Crash switches the machine off. All it would say or hear is lost from now on, the
// packets under way too, and its peers are told nothing: their streams fall
// silent and dials to it hang. The program that ran on it hears nothing either;
// what it writes seems to succeed.
func (h *Host) Crash() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.state == crashed {
		return
	}
	h.state = crashed
	for c := range h.conns {
		c.lost, c.wire = true, nil
		c.forgetLocked()
		c.cond.Broadcast() // a writer need not wait for room any more
	}
}

// Restart brings h back, with nothing running on it. Streams of its earlier life are
// dead: a peer learns that, by a reset, from the first thing it sends on one, or
// from what it sent while h was away. A host that is up is killed first.
func (h *Host) Restart() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.state == up {
		h.killLocked()
	}
	wasCrashed := h.state == crashed
	h.state = up
	if !wasCrashed {
		return
	}
	h.closePortsLocked()
	for c := range h.conns {
		c.resetLocked(syscall.ECONNRESET)
	}
	for _, other := range h.net.hosts {
		h.net.resumeLocked(link{other, h})
	}
}

// closePortsLocked frees every port; the transports and listeners that had them
// are closed for good.
func (h *Host) closePortsLocked() {
	for _, l := range h.listeners {
		l.closeLocked()
	}
	clear(h.packets)
}
