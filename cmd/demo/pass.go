package main

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/netip"

	"github.com/shoal-dev/shoal/httpmw"
)

// passHeader carries the pass from the balancer to a replica.
const passHeader = "X-Demo-Pass"

// pass is how the replicas of an all-in-one know their own balancer: a secret
// made at its start. Addresses would not do, as on one host everybody comes
// from the same one.
type pass struct {
	secret         string
	direct, behind httpmw.KeyFunc
}

func newPass() *pass {
	everybody := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	return &pass{
		secret: rand.Text(),
		direct: httpmw.ClientIP(),
		behind: httpmw.ClientIP(everybody...),
	}
}

// stamp marks a request as the balancer's, whose X-Forwarded-For names the
// client and nobody else.
func (p *pass) stamp(h http.Header) { h.Set(passHeader, p.secret) }

// client is the key of a request: who is at the other end of the connection, or
// of the balancer's connection if it comes from there.
func (p *pass) client(r *http.Request) (string, error) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(passHeader)), []byte(p.secret)) == 1 {
		return p.behind(r)
	}
	return p.direct(r)
}
