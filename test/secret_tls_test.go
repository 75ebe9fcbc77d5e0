package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

// with gives replicas a TLS configuration of their user's.
func with(c *tls.Config) func(*cluster.Config) {
	return func(config *cluster.Config) {
		config.Secret, config.TLS, config.Insecure = []byte(ours), c, false
	}
}

// Certificates in files are exchanged while the replicas run: renewed ones, and then
// those of another authority. What is connected stays so, and whoever connects
// afterwards shows the new one: a replica that comes with the new authority alone is
// let in, one with the old authority's is not.
func TestCertificatesAreExchangedWhileReplicasRun(t *testing.T) {
	story(t, func(f *fleet) {
		before, after := newAuthority(f.T), newAuthority(f.T)
		var folders []folder
		start := func(c tls.Certificate, as ...*authority) *replica {
			at := folder{f.T, f.TempDir()}
			at.write(c, as...)
			folders = append(folders, at)
			return f.startOne(with(at.config()))
		}
		short := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(30 * time.Second) }
		for range 3 {
			start(before.issue(short), before)
		}
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(100)
		exchange := func(signs *authority, known ...*authority) {
			for _, at := range folders {
				at.write(signs.issue(short), known...)
			}
			idle.none(f, "an exchange")
		}
		exchange(before, before) // renewed
		exchange(before, before, after)
		exchange(after, before, after)
		exchange(after, after)

		time.Sleep(31 * time.Second) // all of these have expired
		exchange(after, after)
		start(after.issue(), after)
		f.ready(formTime, f.replicas...)
		storm{"with new certificates", "100/hour", 3, []int64{1}, 100}.strike(f)

		late := f.startOn(f.net.Host("10.0.0.9"), with(before.config(before.issue())), func(c *cluster.Config) { c.Name = "late" })
		time.Sleep(10 * time.Second)
		for _, m := range late.Members() {
			if !m.Self && m.Reachable {
				t.Errorf("%s is reached under the former authority", m.Name)
			}
		}
	})
}

// The port for hits answers nobody whose certificate isn't a replica's, and comes to
// no hello with him.
func TestStrangersWithCertificates(t *testing.T) {
	story(t, func(f *fleet) {
		us, them := newAuthority(f.T), newAuthority(f.T)
		f.start(2, with(us.config(us.issue())))
		f.ready(formTime, f.replicas...)
		expired := us.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })
		early := us.issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
		other := us.issue(func(c *x509.Certificate) { c.DNSNames = []string{"billing.internal"} })
		serverOnly := us.issue(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })
		old := us.config(us.issue())
		old.MaxVersion = tls.VersionTLS12
		none := us.config(us.issue())
		none.Certificates = nil
		for name, c := range map[string]*tls.Config{
			"another authority":            {Certificates: []tls.Certificate{them.issue()}, RootCAs: us.pool(), ServerName: replicaName},
			"expired":                      us.config(expired),
			"not valid yet":                us.config(early),
			"another service's":            us.config(other),
			"good for servers alone":       us.config(serverOnly),
			"none":                         none,
			"TLS 1.2":                      old,
			"made up":                      {Certificates: []tls.Certificate{certificate(t)}, RootCAs: us.pool(), ServerName: replicaName},
			"plain text":                   nil,
			"the cluster's secret instead": {Certificates: []tls.Certificate{certificate(t)}, InsecureSkipVerify: true},
		} {
			f.isStrange(name, f.replicas[0], c)
		}
	})
}

// isStrange fails the test if somebody with that configuration comes as far as to a
// hello.
func (f *fleet) isStrange(who string, victim *replica, c *tls.Config) {
	f.Helper()
	rule := bucket.MustRule("rule", "1/hour")
	began, log := time.Now(), &logbook{}
	p := transport.Dial(transport.PeerConfig{
		Address: victim.address(),
		Dial:    func(ctx context.Context, a string) (net.Conn, error) { return f.net.Host("10.0.9.9").Dial(ctx, a) },
		Now:     func() int64 { return int64(time.Since(began)) },
		TLS:     always(c),
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	})
	defer p.Close()
	digest := bucket.DigestKey{}.Digest(rule, victim.keyOf(rule, 0))
	call := new(transport.Calls).Get()
	call.Hit = transport.Hit{Digest: digest, Rule: rule, Tokens: 1}
	if err := p.Ask(call, int64(5*time.Second)); err == nil {
		f.Errorf("%s: answered %+v", who, call.Answer)
	}
	if _, err := p.Call(f.Context(), 1, nil); !errors.Is(err, transport.ErrUnavailable) {
		f.Errorf("%s: called: %v", who, err)
	}
	if !log.has("can't reach peer") || log.has("shoal: peer") {
		f.Errorf("%s: it came to a hello:\n%s", who, log)
	}
}

// Nothing of a replica goes out in plain text to a host that has the address of
// another one and speaks no TLS, an old TLS, or with a certificate of its own: not a
// byte beyond the beginning of a handshake.
func TestNothingIsSentInPlainText(t *testing.T) {
	for name, change := range map[string]func(*authority) func(*cluster.Config){
		"secret": func(*authority) func(*cluster.Config) { return secret(ours) },
		"TLS":    func(a *authority) func(*cluster.Config) { return with(a.config(a.issue())) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(3, change(newAuthority(f.T)))
				f.ready(formTime, f.replicas...)
				victim, rule := f.replicas[2], bucket.MustRule("canary-rule", "1000/hour")
				key := victim.keyOf(rule, 0)
				address := victim.address()
				victim.kill()
				victim.host.Restart()
				heard := f.strip(victim.host, address)
				for range 100 {
					f.replicas[0].ask(rule, key, 1)
					time.Sleep(20 * time.Millisecond)
				}
				streams := heard()
				if len(streams) == 0 {
					t.Fatal("nobody called")
				}
				for _, s := range streams {
					if len(s) > 0 && s[0] != 22 { // a handshake record
						t.Errorf("%q", s[:min(len(s), 100)])
					}
					for _, plain := range []string{"PRI * HTTP/2", "shoal.v1", "shoal-cluster", "canary-rule"} {
						if strings.Contains(s, plain) {
							t.Errorf("%q is in what was sent", plain)
						}
					}
				}
			})
		})
	}
}

// strip answers on a host at an address as somebody in the middle would, who wants to
// hear plain text. The function that it returns ends that, and returns what was heard
// on each stream.
func (f *fleet) strip(host *simnet.Host, address string) func() []string {
	f.Helper()
	_, port, _ := net.SplitHostPort(address)
	l, err := host.Listen(":" + port)
	if err != nil {
		f.Fatal(err)
	}
	var mu sync.Mutex
	var heard []*tap
	var wg sync.WaitGroup
	forged := certificate(f.T)
	wg.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tapped := &tap{Conn: conn}
			mu.Lock()
			heard = append(heard, tapped)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Second))
				switch i % 3 {
				case 0: // an HTTP/2 server's first words
					_, _ = conn.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
				case 1:
					_ = tls.Server(tapped, &tls.Config{Certificates: []tls.Certificate{forged}, MaxVersion: tls.VersionTLS12}).Handshake()
				case 2:
					_ = tls.Server(tapped, &tls.Config{Certificates: []tls.Certificate{forged}}).Handshake()
				}
				_, _ = io.Copy(io.Discard, tapped)
			})
		}
	})
	return func() (streams []string) {
		_ = l.Close()
		wg.Wait()
		for _, t := range heard {
			streams = append(streams, string(t.heard))
		}
		return streams
	}
}

// tap is a connection that keeps what is read from it. One goroutine reads.
type tap struct {
	net.Conn
	heard []byte
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.heard = append(t.heard, b[:n]...)
	return n, err
}
