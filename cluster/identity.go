package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Replicas that share a Secret trust nobody else, and need no authority to tell
// them whom. Gossip is encrypted under a key that is derived from the secret. In
// it each boot says what the certificate looks like that it has made for itself;
// and on the connections for hits both ends show theirs, over TLS 1.3, and take
// only one that gossip knows. So whoever doesn't have the secret can neither
// listen, nor ask, nor answer, and a boot can't pass for another.

var (
	errStranger = errors.New("cluster: the certificate is that of no living member")
	errImpostor = errors.New("cluster: the certificate is not that of the member at this address")
)

// derive makes a key of 32 bytes out of a secret, for one purpose: HMAC-SHA-256 as
// a pseudo-random function.
func derive(secret []byte, purpose string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("shoal " + purpose))
	return h.Sum(nil)
}

// digestKey derives the 128-bit key of the digests.
func (c Config) digestKey() (k bucket.DigestKey) {
	from, purpose := c.DigestKey, "digest key"
	switch {
	case from != nil:
	case c.Secret != nil:
		from = c.Secret
	default:
		from, purpose = []byte(c.Cluster), "cluster name"
	}
	copy(k[:], derive(from, purpose))
	return k
}

// identity is a boot's certificate, which it makes for itself and keeps in
// memory.
type identity struct {
	certificate tls.Certificate
	print       string // SHA-256 of it, as meta has it
}

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// Nobody looks at what it says: it is known by its fingerprint.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fingerprint(der)}, nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return string(sum[:])
}

// tls is the configuration of either end of a connection, which goes on only if
// the other end's certificate has a fingerprint that is accepted.
func (id *identity) tls(accept func(print string) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.certificate},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // there is no authority: VerifyConnection pins the certificate
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errStranger
			}
			return accept(fingerprint(state.PeerCertificates[0].Raw))
		},
	}
}

// fromMembers accepts the certificates of all boots that gossip believes alive.
func (n *Node) fromMembers(print string) error {
	for _, b := range n.boots() {
		if b.print == print {
			return nil
		}
	}
	return errStranger
}

// accept accepts the certificate of this boot alone.
func (m *member) accept(print string) error {
	if m.print != print {
		return errImpostor
	}
	return nil
}
