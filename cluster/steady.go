package cluster

import (
	"context"
	"net"
)

// A Network that isn't the system's hands its connections to gRPC, in whose goroutines
// a panic would end the process. So each has a shell: a panic in there is an error of
// that connection, counted and logged.

// passing is an error that gRPC takes for one that will be over soon.
type passing struct{ error }

func (passing) Temporary() bool { return true }

// listen opens the port for peers.
func (n *Node) listen(bind string) (l net.Listener, err error) {
	if !n.survives("Config.Network.Listen", func() { l, err = n.config.Network.Listen(bind) }) {
		return nil, errPanic
	}
	if _, system := n.config.Network.(osNetwork); system || err != nil {
		return l, err
	}
	return steadyListener{l, n}, nil
}

// dial connects to a peer.
func (n *Node) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	if !n.survives("Config.Network.Dial", func() { conn, err = n.config.Network.Dial(ctx, address) }) {
		return nil, errPanic
	}
	if _, system := n.config.Network.(osNetwork); system || err != nil {
		return conn, err // gRPC sets options of the system's own
	}
	return steadyConn{conn, n}, nil
}

type steadyListener struct {
	net.Listener
	node *Node
}

func (l steadyListener) Accept() (conn net.Conn, err error) {
	if !l.node.survives("accepting a peer", func() { conn, err = l.Listener.Accept() }) {
		return nil, passing{errPanic}
	}
	if err != nil {
		return nil, err
	}
	return steadyConn{conn, l.node}, nil
}

type steadyConn struct {
	net.Conn
	node *Node
}

func (c steadyConn) Read(b []byte) (read int, err error) {
	if !c.node.survives("reading from a peer", func() { read, err = c.Conn.Read(b) }) {
		return 0, errPanic
	}
	return read, err
}

// Write closes the connection if it panics: gRPC waits for Read to fail as well.
func (c steadyConn) Write(b []byte) (written int, err error) {
	if !c.node.survives("writing to a peer", func() { written, err = c.Conn.Write(b) }) {
		_ = c.Close()
		return 0, errPanic
	}
	return written, err
}

func (c steadyConn) Close() (err error) {
	if !c.node.survives("closing a connection", func() { err = c.Conn.Close() }) {
		return errPanic
	}
	return err
}
