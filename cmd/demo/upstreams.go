package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	dialTime   = 2 * time.Second
	answerTime = maxHold + 5*time.Second
	// idlePerReplica is how many connections to a replica are kept for further
	// requests; with fewer than come at once, each burst would dial anew.
	idlePerReplica = 256
)

// upstreams is a transport that sends each request to the next replica in turn,
// and on to another if that one can't be dialled.
type upstreams struct {
	addresses atomic.Pointer[[]string]
	next      atomic.Uint64
	transport *http.Transport
}

func newUpstreams(addresses []string) *upstreams {
	u := &upstreams{
		transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialTime}).DialContext,
			MaxIdleConnsPerHost:   idlePerReplica,
			IdleConnTimeout:       idleTime,
			ResponseHeaderTimeout: answerTime,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true, // what the client accepts is its own affair
		},
	}
	u.set(addresses)
	return u
}

// set changes the replicas to send further requests to: at least one.
func (u *upstreams) set(addresses []string) { u.addresses.Store(&addresses) }

// RoundTrip implements http.RoundTripper. Only a request that no replica can
// have seen is tried again, so none is charged twice.
func (u *upstreams) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	out := r.WithContext(r.Context()) // a shallow copy
	target := *r.URL
	out.URL = &target
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = io.NopCloser(r.Body) // a failed attempt closes it; the proxy does so at the end
	}
	first, addresses := u.next.Add(1), *u.addresses.Load()
	for i := range uint64(len(addresses)) {
		target.Host = addresses[(first+i)%uint64(len(addresses))]
		resp, err = u.transport.RoundTrip(out)
		if err == nil || !undialled(err) || r.Context().Err() != nil {
			break
		}
	}
	return resp, err
}

// undialled reports whether there was no connection to send anything over.
func undialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (u *upstreams) close() { u.transport.CloseIdleConnections() }
