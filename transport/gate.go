package transport

import (
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// Whoever reaches the port may open connections to it. Those that have not yet said
// hello as a member are few: where there are too many the oldest is closed, as an
// honest one has done so within milliseconds.
const (
	maxVisitors     = 256
	maxVisitorsFrom = 128 // from one host, or an IPv6 /64
	// maxConns bounds all connections: two for each of the members, and as many again
	// while they restart.
	maxConns = 2048
)

// gate is a listener that bounds the connections.
type gate struct {
	net.Listener

	mu       sync.Mutex
	visitors Crowd[*visitor] // that haven't said hello
	open     int             // all connections
}

func newGate(l net.Listener) *gate {
	return &gate{Listener: l, visitors: Crowd[*visitor]{Most: maxVisitors, MostFrom: maxVisitorsFrom}}
}

// visitor is a connection through the gate.
type visitor struct {
	net.Conn
	gate *gate

	closed bool // belongs to gate.mu
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		v := &visitor{Conn: conn, gate: g}
		if victim := g.enter(v); victim != nil {
			_ = victim.Close()
		}
		if !v.hasClosed() {
			return v, nil
		}
	}
}

// enter counts a connection, and returns the one that has to go for it, or nil.
func (g *gate) enter(v *visitor) (victim *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open++
	if victim = g.visitors.Enter(v, HostOf(v.RemoteAddr())); victim == nil && g.open > maxConns {
		victim = g.visitors.Oldest()
	}
	return victim
}

// welcome counts the connection of a member as a visitor's no more.
func (v *visitor) welcome() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.gate.visitors.Leave(v)
}

func (v *visitor) hasClosed() bool {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	return v.closed
}

func (v *visitor) Close() error {
	v.gate.mu.Lock()
	if !v.closed {
		v.closed = true
		v.gate.open--
		v.gate.visitors.Leave(v)
	}
	v.gate.mu.Unlock()
	return v.Conn.Close()
}

// through are the credentials of a server behind a gate: they keep to which visitor
// they belong.
type through struct {
	credentials.TransportCredentials
}

// shown is what a connection has shown of itself.
type shown struct {
	credentials.AuthInfo
	visitor *visitor // nil if it came by no gate
}

func (t through) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	v, _ := raw.(*visitor)
	return conn, shown{info, v}, nil
}

func (t through) Clone() credentials.TransportCredentials {
	return through{t.TransportCredentials.Clone()}
}
