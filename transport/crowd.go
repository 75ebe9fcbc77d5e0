package transport

import (
	"net"
	"net/netip"
	"slices"
)

// Crowd is who has come and not been let go on, the oldest first. It is bounded, in all
// and from one host: where there are too many the oldest has to go, as an honest one
// stays for milliseconds. It is not safe for concurrent use.
type Crowd[T comparable] struct {
	// Most bounds all of them, MostFrom those from one host.
	Most, MostFrom int

	there []one[T]
}

type one[T comparable] struct {
	who  T
	host netip.Prefix
}

// Enter adds who has come from a host, and returns the one that has to go for it: the
// zero T if there is room. It may be the newcomer, and stays until it leaves.
func (c *Crowd[T]) Enter(who T, host netip.Prefix) (victim T) {
	c.there = append(c.there, one[T]{who, host})
	from, oldest := 0, who
	for _, o := range slices.Backward(c.there) {
		if o.host == host {
			from++
			oldest = o.who
		}
	}
	switch {
	case from > c.MostFrom:
		return oldest
	case len(c.there) > c.Most:
		return c.Oldest()
	}
	return victim
}

// Oldest is who has been there for longest. Somebody must be.
func (c *Crowd[T]) Oldest() T { return c.there[0].who }

// Leave takes somebody out, if it is there.
func (c *Crowd[T]) Leave(who T) {
	if i := slices.IndexFunc(c.there, func(o one[T]) bool { return o.who == who }); i >= 0 {
		c.there = slices.Delete(c.there, i, i+1)
	}
}

// HostOf is the host of an address as far as one can be told from others: of IPv6
// each has a /64. The zero prefix is that of an address without an IP.
func HostOf(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
