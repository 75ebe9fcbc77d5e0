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
// the secret too, and says its fingerprint in gossip. A client insists on the one
// certificate of the boot that it means to ask, so an address that went to somebody
// else is noticed. A server shakes hands with whoever knows the secret; which boot
// that is, and whether it may ask, is for admit to say.
//
// While the secret changes there are two, and either is good enough: a boot signs
// under its own Secret and takes what was signed under any of AcceptSecrets.

// trust is how a node makes sure of its peers, and they of it.
type trust interface {
	// server is the configuration of the end that answers.
	server() *tls.Config
	// client makes those of the end that asks, one for each connection, to the boot
	// whose certificate has that fingerprint.
	client(print string) func() (*tls.Config, error)
	// print is the fingerprint that gossip is to say of this boot; "" is none.
	fingerprint() string
}

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
	authorities []ed25519.PublicKey // under which the peers' may be signed
	certificate tls.Certificate
	print       string // SHA-256 of it, as meta has it
}

// newIdentity makes one that is signed under the first of the secrets, and takes
// those that are signed under any.
func newIdentity(secret []byte, others ...[]byte) (*identity, error) {
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
	id := &identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private},
		print:       fingerprint(der),
	}
	for _, s := range append([][]byte{secret}, others...) {
		key := ed25519.NewKeyFromSeed(derive(s, "authority"))
		id.authorities = append(id.authorities, key.Public().(ed25519.PublicKey))
	}
	return id, nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return string(sum[:])
}

func (id *identity) fingerprint() string { return id.print }

func (id *identity) server() *tls.Config {
	return id.config(func(c *x509.Certificate) error {
		for _, authority := range id.authorities {
			if ed25519.Verify(authority, c.RawTBSCertificate, c.Signature) {
				return nil
			}
		}
		return errStranger
	})
}

func (id *identity) client(print string) func() (*tls.Config, error) {
	config := id.config(func(c *x509.Certificate) error {
		if fingerprint(c.Raw) != print {
			return errImpostor
		}
		return nil
	})
	return func() (*tls.Config, error) { return config, nil }
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
