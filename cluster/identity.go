package cluster

import (
	"crypto/ed25519"
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

// Replicas that share a Secret trust each other and nobody else, with no authority
// to run. Gossip is encrypted under a key that is derived from the secret. For its
// connections each boot makes a certificate, signed by a key that is derived from
// the secret too, and says its fingerprint in gossip. A server takes whoever knows
// the secret, also a boot that it hasn't heard of yet, or suspects to be dead. A
// client insists on the one certificate of the boot that it means to ask, so an
// address that went to somebody else is noticed. Whoever holds the secret is
// trusted: nothing here protects replicas from one of them.

var (
	errStranger = errors.New("cluster: the peer's certificate is not signed under this cluster's Secret")
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
	authority   ed25519.PublicKey
	certificate tls.Certificate
	print       string // SHA-256 of it, as meta has it
}

func newIdentity(secret []byte) (*identity, error) {
	authority := ed25519.NewKeyFromSeed(derive(secret, "authority"))
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	// Nobody looks at what it says: what counts is who signed it, and which it is.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, authority)
	if err != nil {
		return nil, err
	}
	return &identity{
		authority:   authority.Public().(ed25519.PublicKey),
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private},
		print:       fingerprint(der),
	}, nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return string(sum[:])
}

// server is the configuration of the end that answers: it takes whoever knows the
// secret.
func (id *identity) server() *tls.Config {
	return id.config(func(c *x509.Certificate) error {
		if !ed25519.Verify(id.authority, c.RawTBSCertificate, c.Signature) {
			return errStranger
		}
		return nil
	})
}

// client is the configuration of the end that asks: it insists on the certificate
// with that fingerprint.
func (id *identity) client(print string) *tls.Config {
	return id.config(func(c *x509.Certificate) error {
		if fingerprint(c.Raw) != print {
			return errImpostor
		}
		return nil
	})
}

func (id *identity) config(accept func(*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.certificate},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // names and dates mean nothing here: VerifyConnection decides
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errStranger
			}
			return accept(state.PeerCertificates[0])
		},
	}
}
