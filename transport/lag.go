package transport

import "time"

// lagWindow is how long the quickest frame is remembered: long enough to have
// seen a quick one, short enough that the drift between two clocks (at worst
// some 200 µs a second) adds up to little.
const lagWindow = 10 * time.Second

// lag estimates how long a frame was held up on its way: in a queue, a kernel's
// buffers, or in a process that was stopped. Only differences count, so the two
// clocks needn't agree on anything but the length of a second: the quickest
// frame of the last windows stands for no delay, and a frame is late by as much
// as it took longer.
//
// Windows follow the sender's clock, so what a stall held up is compared with
// what came before it, however long the stall. After a silence of two windows
// the drift could be mistaken for a delay: the next frame counts as quick.
type lag struct {
	quickest, before int64 // now - sent, in this window and in the last
	since            int64 // when this window began, by the sender's clock
	begun            bool
}

func (l *lag) of(sent, now int64) time.Duration {
	took, age := now-sent, sent-l.since
	switch {
	case !l.begun || age > 2*int64(lagWindow):
		*l = lag{quickest: took, before: took, since: sent, begun: true}
	case age > int64(lagWindow):
		*l = lag{quickest: took, before: l.quickest, since: sent, begun: true}
	default:
		l.quickest = min(l.quickest, took)
	}
	return time.Duration(took - min(l.quickest, l.before))
}
