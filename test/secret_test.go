package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/transport"
)

func secret(s string) func(*cluster.Config) {
	return func(c *cluster.Config) { c.Secret, c.Insecure = []byte(s), false }
}

const ours, theirs = "the secret of this cluster", "the secret of another one"

// With a secret everything goes as without, only that nobody can look on; a
// replica that crashed and comes back has a new certificate, which is known.
func TestReplicasThatShareASecret(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5, secret(ours))
		f.ready(formTime, f.replicas...)
		storm{"with a secret", "100/hour; 200/day", 3, []int64{1}, 100}.strike(f)

		old := f.replicas[2]
		old.kill()
		f.replicas[2] = f.startOn(f.net.Host("10.0.0.33"), secret(ours), func(c *cluster.Config) { c.Name = old.Name() })
		f.ready(formTime, f.replicas...)
		storm{"with a new boot", "100/hour", 3, []int64{1}, 100}.strike(f)
	})
}

// Who has another secret, or none, is never a member, and nobody is one to him.
func TestAnotherSecretKeepsReplicasApart(t *testing.T) {
	for name, stranger := range map[string]func(*cluster.Config){
		"another": secret(theirs),
		"none":    func(*cluster.Config) {},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(2, secret(ours))
				f.ready(formTime, f.replicas...)
				r := f.startOne(stranger)
				time.Sleep(time.Minute)
				if !f.replicas[0].sees(f.replicas[:2]) || !r.sees([]*replica{r}) {
					t.Errorf("members %v and %v", f.replicas[0].memberNames(), r.memberNames())
				}
			})
		})
	}
}

// The port for hits takes nothing from those whom gossip doesn't know, with
// whatever certificate or none.
func TestStrangersAreNotAnswered(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(2, secret(ours))
		f.ready(formTime, f.replicas...)
		owner, rule := f.replicas[0], bucket.MustRule("rule", "1/hour")
		key := owner.keyOf(rule, 0)
		digest := bucket.DigestKey{}.Digest(rule, key)

		anyone := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
		forged := anyone.Clone()
		forged.Certificates = []tls.Certificate{certificate(t)}
		for name, config := range map[string]*tls.Config{"plain text": nil, "no certificate": anyone, "a certificate of his own": forged} {
			began, log := time.Now(), &logbook{}
			p := transport.Dial(transport.PeerConfig{
				Address: owner.address(),
				Dial:    func(ctx context.Context, a string) (net.Conn, error) { return f.net.Host("10.0.9.9").Dial(ctx, a) },
				Now:     func() int64 { return int64(time.Since(began)) },
				TLS:     always(config),
				Log:     slog.New(slog.NewTextHandler(log, nil)),
			})
			c := new(transport.Calls).Get()
			c.Hit = transport.Hit{Digest: digest, Rule: rule, Tokens: 1}
			if err := p.Ask(c, int64(5*time.Second)); err == nil {
				t.Errorf("%s: answered %+v", name, c.Answer)
			}
			p.Close()
			if !log.has("can't reach peer") || log.has("shoal: peer") {
				t.Errorf("%s: it came to a hello:\n%s", name, log)
			}
		}
		if d := f.replicas[1].ask(rule, key, 1); !d.Allowed || d.Degraded {
			t.Errorf("afterwards: %+v", d)
		}
	})
}

// always is what a peer asks for the configuration of each connection.
func always(c *tls.Config) func() (*tls.Config, error) {
	if c == nil {
		return nil
	}
	return func() (*tls.Config, error) { return c, nil }
}

func certificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// What is secret isn't printed with a configuration that somebody logs.
func TestSecretsAreNotPrinted(t *testing.T) {
	c := cluster.Config{Secret: []byte(ours), DigestKey: []byte(theirs), Name: "a"}
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		text := fmt.Sprintf(verb, c)
		for _, hidden := range []string{ours, theirs, fmt.Sprint([]byte(ours)), fmt.Sprint([]byte(theirs))} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}
