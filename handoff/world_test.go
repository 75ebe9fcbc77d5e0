//go:build !race

package handoff

import (
	"fmt"
	"strings"
)

// The files with this build tag are the model checker. It has one goroutine, so
// the race detector would find nothing there and take ten times as long.

// world is a whole cluster with one partition: what each boot knows and what is
// under way. It is plain values, small and equal for equal situations.
type world struct {
	nodes    [boots]node
	net      [maxNet]packet // in ascending order, the empty ones last
	required set            // the debits that whoever holds must know
	debits   uint8          // made so far
	done     set16          // the events of the scenario that have happened
}

const (
	boots  = 4
	maxNet = 3
)

// node is a boot: its Part in short form, its view, and the ghost data, the debits
// that its copy of the buckets includes.
type node struct {
	life                       life
	state                      State
	version, fence, sent       stamp
	forgot                     stamp
	to                         uint8
	taken                      [boots]stamp
	claim                      stamp
	free                       set
	members, leaving, departed set
	data                       set
}

type life uint8

const (
	unborn life = iota
	alive
	left
	crashed
)

// packet is a message with the ghost of the copy that it carries.
type packet struct {
	kind           Kind
	from, to       uint8
	version, fence stamp
	view           set
	leaving        bool
	data           set
}

// set is a set of boots or debits: bit b-1 for b.
type (
	set   uint8
	set16 uint16
)

func only[B ~uint8 | Boot](b B) set        { return 1 << (b - 1) }
func has[B ~uint8 | Boot](s set, b B) bool { return s>>(b-1)&1 != 0 }

// stamp is a Version in eight bits.
type stamp uint8

const maxCounter = 30 // what a stamp can hold, with a margin

func stampOf(v Version) stamp {
	if v.Counter > maxCounter+1 {
		panic("the model's versions are too short")
	}
	return stamp(v.Counter<<3) | stamp(v.Boot)
}

func (s stamp) version() Version { return Version{uint64(s >> 3), Boot(s & 7)} }

// at is a boot of w.
func (w *world) at(b Boot) *node { return &w.nodes[b-1] }

// known are the boots that n has ever heard of.
func (n *node) known() set { return n.members | n.departed }

// hash tells worlds apart. 64 bits of it are kept instead of each world: two of
// ten million have the same with a probability of 3 in a million.
func (w *world) hash() uint64 {
	h := uint64(w.required) | uint64(w.debits)<<8 | uint64(w.done)<<16
	for i := range w.nodes {
		n := &w.nodes[i]
		h = mix(h ^ (uint64(n.life) | uint64(n.state)<<4 | uint64(n.version)<<8 | uint64(n.sent)<<16 | uint64(n.to)<<24 |
			uint64(n.claim)<<32 | uint64(n.free)<<40 | uint64(n.members)<<48 | uint64(n.leaving)<<56))
		h = mix(h ^ (uint64(n.departed) | uint64(n.data)<<8 | uint64(n.fence)<<48 | uint64(n.forgot)<<56 |
			uint64(n.taken[0])<<16 | uint64(n.taken[1])<<24 | uint64(n.taken[2])<<32 | uint64(n.taken[3])<<40))
	}
	for _, p := range w.net {
		h = mix(h ^ p.word())
	}
	return h
}

// mix is a bijection of 64 bits in which each bit of the input counts: the
// finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h += 0x9e37_79b9_7f4a_7c15
	h ^= h >> 33
	h *= 0xff51_afd7_ed55_8ccd
	h ^= h >> 33
	h *= 0xc4ce_b9fe_1a85_ec53
	return h ^ h>>33
}

// word is another form of p.
func (p packet) word() uint64 {
	leaving := uint64(0)
	if p.leaving {
		leaving = 1
	}
	return uint64(p.kind) | uint64(p.from)<<8 | uint64(p.to)<<16 | uint64(p.version)<<24 |
		uint64(p.fence)<<32 | uint64(p.view)<<40 | leaving<<48 | uint64(p.data)<<56
}

// pack makes a packet of m, without the fields that its receiver doesn't look at.
func pack(m Message, data set) packet {
	p := packet{kind: m.Kind, from: uint8(m.From), to: uint8(m.To), version: stampOf(m.Version), view: set(m.View)}
	switch m.Kind {
	case Refuse, Held, Busy, Stale, OtherView:
		p.fence, p.leaving = stampOf(m.Fence), m.Leaving
	case Transfer, Copy, Free:
		p.data = data
	}
	return p
}

func (p packet) message() Message {
	return Message{Kind: p.kind, From: Boot(p.from), To: Boot(p.to), Version: p.version.version(),
		Fence: p.fence.version(), View: uint64(p.view), Leaving: p.leaving}
}

// count is the number of packets in flight.
func (w *world) count() int {
	n := 0
	for n < maxNet && w.net[n].kind != 0 {
		n++
	}
	return n
}

func (w *world) flies(p packet) bool {
	return w.net[0] == p || w.net[1] == p || w.net[2] == p
}

// add puts p in flight; there must be room.
func (w *world) add(p packet) {
	i := w.count()
	for ; i > 0 && w.net[i-1].word() > p.word(); i-- {
		w.net[i] = w.net[i-1]
	}
	w.net[i] = p
}

// lose takes packet i away.
func (w *world) lose(i int) {
	copy(w.net[i:], w.net[i+1:])
	w.net[maxNet-1] = packet{}
}

// The rest is for people.

func (k Kind) name() string {
	return [...]string{"", "Transfer", "Claim", "Copy", "Ack", "Refuse", "Free", "Held", "Busy", "Stale", "OtherView", "CopyAck", "Unsure"}[k]
}

func (b Boot) name() string {
	if b == bootD {
		return "D"
	}
	return string(rune('A' + b - 1))
}

func (s stamp) String() string { return fmt.Sprintf("%d%s", s>>3, Boot(s&7).name()) }

func (p packet) String() string {
	s := fmt.Sprintf("%s %s→%s %v", p.kind.name(), Boot(p.from).name(), Boot(p.to).name(), p.version)
	switch p.kind {
	case Transfer, Copy, Free:
		s += fmt.Sprintf(" with %d debits", p.data.size())
	}
	return s
}

func (s set) size() int {
	n := 0
	for ; s != 0; s &= s - 1 {
		n++
	}
	return n
}

// names lists the boots in s.
func (s set) names() string {
	var b strings.Builder
	for i := Boot(1); i <= boots; i++ {
		if has(s, i) {
			b.WriteString(i.name())
		}
	}
	return b.String()
}

func (w *world) String() string {
	var b strings.Builder
	for i := Boot(1); i <= boots; i++ {
		if n := w.at(i); n.life == alive {
			fmt.Fprintf(&b, "%s %v %d/%d sees %s", i.name(), n.state, (n.data & w.required).size(), w.required.size(), n.members.names())
			if n.leaving != 0 {
				fmt.Fprintf(&b, " (%s leaves)", n.leaving.names())
			}
			if n.claim != 0 {
				fmt.Fprintf(&b, " claims %v", n.claim)
			}
			b.WriteString("; ")
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}
