package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

const replicaName = "limiter.internal"

// signed makes a certificate that signs itself, with a change, and who trusts it.
func signed(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{replicaName}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// good is a configuration without fault, but for a change to its certificate.
func good(t *testing.T, change func(*x509.Certificate)) *tls.Config {
	c, pool := signed(t, change)
	return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: pool, ServerName: replicaName}
}

// Start says what a TLS configuration lacks, and what to do about it.
func TestTLSFaults(t *testing.T) {
	asIs := func(*x509.Certificate) {}
	change := func(change func(*tls.Config)) *tls.Config {
		c := good(t, asIs)
		change(c)
		return c
	}
	for name, tt := range map[string]struct {
		config *tls.Config
		want   []string
	}{
		"empty":                 {&tls.Config{}, []string{"set Certificates or GetCertificate", "set it to the authorities", "set it to the name"}},
		"whoever comes":         {change(func(c *tls.Config) { c.InsecureSkipVerify = true }), []string{"lets everybody in; leave it out"}},
		"old":                   {change(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), []string{"below TLS 1.3; leave it out"}},
		"an empty certificate":  {change(func(c *tls.Config) { c.Certificates = make([]tls.Certificate, 1) }), []string{"its certificate is empty; load one"}},
		"no certificate at all": {change(func(c *tls.Config) { c.Certificates[0].Certificate = [][]byte{{1}} }), []string{"can't be read"}},
		"another name":          {change(func(c *tls.Config) { c.ServerName = "billing.internal" }), []string{"name ServerName (\"billing.internal\")"}},
		"another authority":     {change(func(c *tls.Config) { _, c.RootCAs = signed(t, asIs) }), []string{"signed by one of RootCAs"}},
		"a clock that is wrong": {change(func(c *tls.Config) { c.Time = func() time.Time { return time.Now().Add(2 * time.Hour) } }), []string{"expired"}},
		"expired":               {good(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), []string{"must be valid now"}},
		"for clients alone":     {good(t, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), []string{"to answer other replicas"}},
		"for servers alone":     {good(t, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), []string{"to ask other replicas"}},
		"a failing callback": {&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no file") }},
			[]string{"GetConfigForClient: no file"}},
		"another failing callback": {change(func(c *tls.Config) {
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("no file") }
		}), []string{"GetCertificate: no file"}},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := Start(t.Context(), Config{Bind: "127.0.0.1:0", TLS: tt.config})
			if err == nil {
				_ = n.Close(t.Context())
				t.Fatal("it was accepted")
			}
			faults := strings.Split(err.Error(), "\n")
			for i, want := range tt.want {
				if len(faults) != len(tt.want) || !strings.HasPrefix(faults[i], "cluster: Config.TLS: ") || !strings.Contains(faults[i], want) {
					t.Errorf("%v; want %q", err, tt.want)
				}
			}
		})
	}
}

// Certificates may come from callbacks, the same for both ends, and what else the
// user demands of a peer is demanded as well.
func TestTLSFromCallbacks(t *testing.T) {
	c, pool := signed(t, func(*x509.Certificate) {})
	refusal := errors.New("not from this rack")
	var refuse error
	base := &tls.Config{
		GetCertificate:   func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c, nil },
		RootCAs:          pool,
		ServerName:       replicaName,
		VerifyConnection: func(tls.ConnectionState) error { return refuse },
	}
	outer := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return base, nil }}
	for _, config := range []*tls.Config{base, outer} {
		if faults := checkTLS(config); faults != nil {
			t.Fatal(faults)
		}
		g := given{config}
		client, err := g.client("")()
		if err != nil {
			t.Fatal(err)
		}
		refuse = nil
		if asked, answered := shake(t, client, g.server()); asked != nil || answered != nil {
			t.Errorf("%v, %v", asked, answered)
		}
		refuse = refusal
		if asked, _ := shake(t, client, g.server()); !errors.Is(asked, refusal) {
			t.Errorf("%v", asked)
		}
	}
	refuse = nil
	for _, breaks := range []*tls.Config{
		{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("config") }},
		{RootCAs: pool, ServerName: replicaName, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("certificate") }},
	} {
		if faults := checkTLS(breaks); len(faults) != 1 || !strings.Contains(faults[0].Error(), "panics: c") {
			t.Errorf("%v", faults)
		}
	}
	base.RootCAs = nil // as when a file has vanished
	if _, err := (given{outer}).client("")(); err == nil || !strings.Contains(err.Error(), "RootCAs") {
		t.Errorf("without authorities: %v", err)
	}
}
