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

// errNoReplica says that there is nobody to send a request to.
var errNoReplica = errors.New("no replica is ready")

// upstreams is a transport that sends each request to the next replica in turn,
// and on to another if that one can't be dialled.
type upstreams struct {
	addresses atomic.Pointer[[]string] // of those that take requests
	lost      func(address string)     // told of one that can't be reached
	next      atomic.Uint64
	transport *http.Transport
}

func newUpstreams(addresses []string) *upstreams {
	u := &upstreams{
		lost: func(string) {},
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

// set says who takes requests from now on. Those under way are not disturbed.
func (u *upstreams) set(addresses []string) { u.addresses.Store(&addresses) }

// RoundTrip implements http.RoundTripper. What no replica can have seen is tried with
// all of them. What one may have seen, as its connection broke before the answer, is
// sent once more if it changes nothing (RFC 9110 section 9.2.2); the client may then
// be charged twice, which is the strict side. One that takes long is left to it.
func (u *upstreams) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	addresses := *u.addresses.Load()
	if len(addresses) == 0 {
		return nil, errNoReplica
	}
	out := r.WithContext(r.Context()) // a shallow copy
	target := *r.URL
	out.URL = &target
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = io.NopCloser(r.Body) // a failed attempt closes it; the proxy does so at the end
	}
	first, repeated := u.next.Add(1), false
	for i := range uint64(len(addresses)) {
		target.Host = addresses[(first+i)%uint64(len(addresses))]
		resp, err = u.transport.RoundTrip(out)
		if err == nil || r.Context().Err() != nil {
			break
		}
		if !undialled(err) {
			if repeated || !repeatable(r) || late(err) {
				break
			}
			repeated = true
		}
		u.lost(target.Host)
	}
	return resp, err
}

// undialled reports whether there was no connection to send anything over.
func undialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// repeatable reports whether a request may be sent again that may have been served.
func repeatable(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody)
}

// late reports whether a replica was waited for in vain.
func late(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (u *upstreams) close() { u.transport.CloseIdleConnections() }
