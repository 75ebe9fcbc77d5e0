package transport

import "slices"

// line is the calls that wait for their first frame, in the order in which they came.
// Equal ones stand behind each other in one place: they leave as one entry.
type line struct {
	heads []*Call
	index []place // hash table of the heads, with open addressing; a power of two
	turn  uint32  // places of other turns are empty
}

// place is that of a head in the line.
type place struct{ turn, at uint32 }

const leastIndex = 256

// equal reports whether two hits may share an entry: the owner can't tell them apart,
// nor do their times differ by more than the sweeper's do.
func (c *Call) equal(d *Call) bool {
	return !c.Hit.Speaks() && !d.Hit.Speaks() && c.Hit.Digest == d.Hit.Digest && c.Hit.Tokens == d.Hit.Tokens && c.Hit.Peek == d.Hit.Peek && c.Hit.Orphan == d.Hit.Orphan &&
		c.expire/grain == d.expire/grain && (c.Hit.Rule == d.Hit.Rule || c.Hit.Rule.Equivalent(d.Hit.Rule))
}

// home is where in an index of that many places the search for a call's equals begins.
// What a hit costs may be anybody's choice: those of one key must not all begin at one
// place because they cost different amounts, or have different times left.
func (c *Call) home(places int) int {
	h := c.Hit.Digest.Lo + uint64(c.Hit.Tokens)*0x9e3779b97f4a7c15 + uint64(c.expire/grain)*0xbf58476d1ce4e5b9
	return int(h^h>>32) & (places - 1)
}

// join adds a call behind its equals, or at the end if it has none and there are
// fewer than most.
func (l *line) join(c *Call, most int) bool {
	if 2*len(l.heads) >= len(l.index) {
		l.reindex(max(leastIndex, 2*len(l.index)))
	}
	at, head := l.find(c)
	switch {
	case head != nil:
		head.last.next, head.last = c, c
		head.others++
		head.expire = min(head.expire, c.expire)
		return true
	case len(l.heads) >= most:
		return false
	}
	l.index[at] = place{l.turn, uint32(len(l.heads))}
	l.heads = append(l.heads, c)
	return true
}

// find returns where in the index the equals of a call are, or would be, and the
// first of them.
func (l *line) find(c *Call) (at int, head *Call) {
	mask := len(l.index) - 1
	for at = c.home(len(l.index)); l.index[at].turn == l.turn; at = (at + 1) & mask {
		if head = l.heads[l.index[at].at]; head.equal(c) {
			return at, head
		}
	}
	return at, nil
}

// leave takes the first n places off the line.
func (l *line) leave(n int) {
	l.heads = slices.Delete(l.heads, 0, n)
	l.reindex(len(l.index))
}

// reindex makes the index anew, of a size.
func (l *line) reindex(size int) {
	if l.turn++; l.turn == 0 || size != len(l.index) {
		l.index, l.turn = make([]place, size), 1
	}
	mask := size - 1
	for i, c := range l.heads {
		at := c.home(size)
		for l.index[at].turn == l.turn {
			at = (at + 1) & mask
		}
		l.index[at] = place{l.turn, uint32(i)}
	}
}

// prune takes out the calls that have ended.
func (l *line) prune() {
	whole := true
	for i, c := range l.heads {
		l.heads[i] = c.prune()
		whole = whole && l.heads[i] == c
	}
	if !whole {
		l.heads = slices.DeleteFunc(l.heads, func(c *Call) bool { return c == nil })
		l.reindex(len(l.index))
	}
}

// prune is what is left of a place when those that have ended are out: its head, nil
// if that is nobody.
func (c *Call) prune() (head *Call) {
	if c.others == 0 {
		if c.ended.Load() {
			return nil
		}
		return c
	}
	for n := c; n != nil; {
		next := n.next
		if !n.ended.Load() {
			n.next, n.last, n.others = nil, n, 0
			if head == nil {
				head = n
			} else {
				head.last.next, head.last = n, n
				head.others++
				head.expire = min(head.expire, n.expire)
			}
		}
		n = next
	}
	return head
}
