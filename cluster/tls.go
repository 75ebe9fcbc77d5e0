package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// given is the user's own configuration. A replica is whoever has a certificate for
// ServerName from one of RootCAs, in both directions. It says of nobody which replica
// he is: that is what the ends' hello is for.
type given struct{ config *tls.Config }

func (given) fingerprint() string { return "" }

// server looks at the configuration anew for each connection.
func (g given) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return current(g.config, hello)
		},
	}
}

func (g given) client(string) func() (*tls.Config, error) {
	return func() (*tls.Config, error) {
		c, err := current(g.config, dialing(g.config))
		if err != nil {
			return nil, fmt.Errorf("cluster: Config.TLS: %w", err)
		}
		return c, nil
	}
}

// dialing stands for a client's hello where this replica is the client.
func dialing(c *tls.Config) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: c.ServerName, SupportedVersions: []uint16{tls.VersionTLS13}}
}

// current is what the user's configuration is now, made strict, for one connection.
func current(c *tls.Config, hello *tls.ClientHelloInfo) (_ *tls.Config, err error) {
	defer caught(&err)
	if c.GetConfigForClient != nil {
		next, err := c.GetConfigForClient(hello)
		if err != nil {
			return nil, err
		}
		if next != nil {
			c = next
		}
	}
	if faults := checkFields(c); faults != nil {
		return nil, errors.Join(faults...)
	}
	return strict(c), nil
}

// strict demands of both ends a certificate of a replica, and TLS 1.3.
func strict(c *tls.Config) *tls.Config {
	s := c.Clone()
	s.MinVersion = tls.VersionTLS13
	s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	s.SessionTicketsDisabled, s.ClientSessionCache = true, nil
	s.GetConfigForClient = nil
	if get := c.GetCertificate; get != nil {
		s.GetCertificate = func(hello *tls.ClientHelloInfo) (_ *tls.Certificate, err error) {
			defer caught(&err)
			return get(hello)
		}
		s.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.GetCertificate(dialing(c))
		}
	}
	s.VerifyConnection = func(state tls.ConnectionState) (err error) {
		defer caught(&err)
		if len(state.PeerCertificates) == 0 {
			return errStranger
		}
		if err := state.PeerCertificates[0].VerifyHostname(c.ServerName); err != nil {
			return err // of a client; a server's was looked at before
		}
		if c.VerifyConnection == nil {
			return nil
		}
		return c.VerifyConnection(state)
	}
	return s
}

// caught is deferred around the user's functions, which gRPC's goroutines call.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("cluster: Config.TLS: a function of it panics: %v", p)
	}
}

// checkTLS reports what is wrong with the user's configuration as it is now, and with
// the certificate that it brings.
func checkTLS(c *tls.Config) []error {
	if c.GetConfigForClient == nil {
		if faults := checkFields(c); faults != nil {
			return faults
		}
	}
	s, err := current(c, dialing(c))
	if err != nil {
		return []error{fmt.Errorf("GetConfigForClient: %w", err)}
	}
	if err := checkOwn(s); err != nil {
		return []error{err}
	}
	return nil
}

// checkOwn reports what is wrong with the certificate of a strict configuration.
func checkOwn(s *tls.Config) (err error) {
	var own *tls.Certificate
	if s.GetCertificate != nil {
		own, err = s.GetCertificate(dialing(s))
	} else {
		own = &s.Certificates[0]
	}
	switch {
	case err != nil:
		return fmt.Errorf("GetCertificate: %w", err)
	case own == nil || len(own.Certificate) == 0:
		return errors.New("its certificate is empty; load one, as by tls.LoadX509KeyPair")
	}
	return checkCertificate(own.Certificate, s)
}

// checkCertificate reports why other replicas would not take a chain.
func checkCertificate(chain [][]byte, c *tls.Config) error {
	var parsed []*x509.Certificate
	between := x509.NewCertPool()
	for _, der := range chain {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("its certificate can't be read: %w", err)
		}
		parsed = append(parsed, one)
		between.AddCert(one)
	}
	options := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: between, DNSName: c.ServerName}
	if c.Time != nil {
		options.CurrentTime = c.Time()
	}
	for use, usage := range map[string]x509.ExtKeyUsage{"answer": x509.ExtKeyUsageServerAuth, "ask": x509.ExtKeyUsageClientAuth} {
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		if _, err := parsed[0].Verify(options); err != nil {
			return fmt.Errorf("its certificate can't be used to %s other replicas: %w; it must be valid now, signed by one of RootCAs, name ServerName (%q) and allow both server and client authentication", use, err, c.ServerName)
		}
	}
	return nil
}

// checkFields reports what a configuration lacks.
func checkFields(c *tls.Config) (faults []error) {
	fault := func(text string) { faults = append(faults, errors.New(text)) }
	if len(c.Certificates) == 0 && c.GetCertificate == nil {
		fault("has no certificate; set Certificates or GetCertificate")
	}
	if c.RootCAs == nil {
		fault("has no RootCAs; set it to the authorities that sign the replicas' certificates, or anybody's public one would do")
	}
	if c.ServerName == "" {
		fault("has no ServerName; set it to the name that the certificates of all replicas have, as \"limiter.internal\"")
	}
	if c.InsecureSkipVerify {
		fault("has InsecureSkipVerify, which lets everybody in; leave it out, VerifyConnection is called besides")
	}
	if c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS13 {
		fault("has a MaxVersion below TLS 1.3; leave it out")
	}
	return faults
}
