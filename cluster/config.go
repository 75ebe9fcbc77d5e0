package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is what a node is made of. The zero value is a cluster of one that
// opens no socket.
type Config struct {
	// Name is the stable id of this replica, different from that of every
	// other: a pod's name, a host's. It decides which keys the replica owns, so
	// it should outlive a restart. At most 64 bytes of printable ASCII without
	// spaces. "" means the advertised gossip address.
	Name string
	// Cluster is the name of the cluster. Replicas of different clusters refuse
	// each other, so that two services that share a network don't share limits.
	// At most 64 bytes of printable ASCII. "" means "shoal".
	Cluster string

	// Bind is the address for gossip, TCP and UDP, as "0.0.0.0:7946"; port 0
	// takes any free one. "" means standalone: no gossip, no peers; what only a
	// cluster needs, from Seeds to TLS, must be left out then.
	Bind string
	// PeerBind is the address for hits from other replicas (gRPC, TCP). "" means
	// the host of Bind and any free port, which the others learn by gossip; give
	// one where a firewall must know it.
	PeerBind string
	// Advertise is the gossip address, IP:port, at which the others reach this
	// replica, where that differs from Bind; its IP also holds for PeerBind. ""
	// means Bind or, where Bind names no single address, the address from which
	// this host reaches the first seed.
	Advertise string
	// Seeds are gossip addresses, host:port or host alone for the port of Bind,
	// of some replicas to begin with; this one's own may be among them. A DNS
	// name stands for all its addresses and is resolved again every 5 s, so a
	// headless service of Kubernetes or a name in Compose finds everybody, in
	// whatever order they start.
	Seeds []string

	// Secret is shared by the replicas, and known to nobody else: at least 16
	// random bytes. With it gossip is encrypted (AES-256-GCM), and so are hits
	// (TLS 1.3, with certificates that the replicas make for themselves and know
	// each other by). nil means neither, which Start refuses beyond loopback.
	// Replicas with another secret, or none, form a cluster of their own.
	Secret []byte `json:"-"`
	// AcceptSecrets are taken from others as well as Secret, while that changes: the
	// next one, until all replicas know it, and then the last one, until all use the
	// next. It needs DigestKey. Each is like Secret; nil, the default, takes no other.
	AcceptSecrets [][]byte `json:"-"`
	// DigestKey keys the digests that stand for keys between replicas: at least
	// 16 secret random bytes, the same on all replicas for as long as any of them
	// lives. nil means Secret, or else a key derived from Cluster, which keeps
	// clusters apart but is no secret. What Secret was when it was nil, it has to be
	// from the first change of Secret on.
	DigestKey []byte `json:"-"`
	// TLS is used between replicas in place of the certificates that they make for
	// themselves; Secret still encrypts gossip. A replica is then whoever has a
	// certificate that is good for ServerName and signed by one of RootCAs: that one
	// name stands in the certificate of every replica, which serves for asking and
	// for answering (both extended key usages). TLS needs those two fields, and a
	// certificate: Certificates, or GetCertificate, which is asked for each connection
	// in either direction.
	//
	// GetConfigForClient may bring another configuration of the same kind for each
	// connection, also for those that this replica opens (Conn is nil then), so that
	// authorities can be exchanged as well. Other fields mean what crypto/tls says,
	// but TLS 1.3 and a verified certificate from both ends are always demanded, and
	// no session is resumed. A connection lives on when its certificates have expired.
	// nil means certificates of the replicas' own, if there is a Secret.
	TLS *tls.Config `json:"-"`
	// Insecure permits a Bind beyond loopback without a Secret: whoever reaches
	// the ports can then join the cluster and take part in its decisions.
	Insecure bool

	// HitTimeout is how long a caller of Take may wait for another replica, from
	// 5 ms to 10 s. After that the rule's failure policy answers. 0 means 50 ms.
	HitTimeout time.Duration

	// ScaleMinority divides the limits on a side of a split cluster that sees less
	// than half of the replicas that it saw in the last 10 minutes, but for those
	// that said farewell: 2 of 5 give each key a third, so that both sides together
	// admit no more than 4/3 of the rate. By default each side gives the whole limit.
	ScaleMinority bool

	// MaxMemory bounds the memory of the buckets, in bytes, from 1 MiB up (what is shared, see
	// below, may take 1.5 MB in any case): of keys that
	// are decided here and of the copies that are kept for others, with an eighth for
	// the policy LocalShare. A limit of a key takes 40 to 60 bytes while it isn't full,
	// here and at its standby; for a SlidingLog 8 more for each token. When there is no
	// room, new keys share buckets, so they may be refused too early; keys that are
	// there notice nothing, and nobody is admitted too much. One limit's keys leave
	// room for others'. 0 means 256 MiB: about four million limits of keys.
	MaxMemory int64

	// DeniedKeys is how many of the most refused keys this replica remembers, with
	// their text, for Node.Denied: at most 1000. 0 means none, as keys may be personal
	// data: addresses, e-mails, API keys. They are kept in memory alone, on the replica
	// that was asked about them.
	DeniedKeys int

	// Log receives what happens to the cluster, never keys. nil discards it. The same
	// message comes at most 10 times at once and then once a second.
	Log *slog.Logger
	// Network is where sockets come from. nil means the operating system.
	Network Network
}

// String returns what may be logged: no secret is in it, nor in what the fmt verbs
// and log/slog make of a Config by itself.
func (c Config) String() string {
	return fmt.Sprintf("{Name:%q Cluster:%q Bind:%q PeerBind:%q Advertise:%q Seeds:%q Secret:%s AcceptSecrets:%d DigestKey:%s TLS:%t Insecure:%v HitTimeout:%v ScaleMinority:%v MaxMemory:%d DeniedKeys:%d}",
		c.Name, c.Cluster, c.Bind, c.PeerBind, c.Advertise, c.Seeds, redacted(c.Secret), len(c.AcceptSecrets), redacted(c.DigestKey), c.TLS != nil, c.Insecure, c.HitTimeout, c.ScaleMinority, c.MaxMemory, c.DeniedKeys)
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// LogValue is String, for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

func redacted(secret []byte) string {
	if secret == nil {
		return "none"
	}
	return "given"
}

const (
	defaultCluster    = "shoal"
	defaultMaxMemory  = 256 << 20
	minMaxMemory      = 1 << 20
	defaultHitTimeout = 50 * time.Millisecond
	minHitTimeout     = 5 * time.Millisecond
	maxHitTimeout     = 10 * time.Second
	maxNameBytes      = 64
	minSecret         = 16
)

// withDefaults returns a copy in which nothing is left open but the name and
// the addresses that only sockets can tell.
func (c Config) withDefaults() Config {
	if c.Cluster == "" {
		c.Cluster = defaultCluster
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = defaultMaxMemory
	}
	if c.HitTimeout == 0 {
		c.HitTimeout = defaultHitTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = throttled(c.Log)
	_, port, _ := net.SplitHostPort(c.Bind)
	if c.PeerBind == "" {
		c.PeerBind = anyPort(c.Bind)
	}
	seeds := make([]string, len(c.Seeds))
	for i, seed := range c.Seeds {
		if lacksPort(seed) {
			seed = net.JoinHostPort(strings.Trim(seed, "[]"), port)
		}
		seeds[i] = seed
	}
	c.Seeds = seeds
	if c.Network == nil {
		c.Network = osNetwork{log: c.Log, seeds: seeds}
	}
	return c
}

// lacksPort reports whether a seed is a host alone: a name, or an IP.
func lacksPort(seed string) bool {
	_, err := netip.ParseAddr(strings.Trim(seed, "[]"))
	return err == nil || seed != "" && !strings.Contains(seed, ":")
}

// validate reports everything that is wrong, each fault with its field and a
// remedy. c has its defaults.
func (c Config) validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("cluster: Config.%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if len(c.Name) > maxNameBytes || !printable(c.Name) || strings.Contains(c.Name, " ") {
		fault("Name", "%q must be printable ASCII without spaces, at most %d bytes", c.Name, maxNameBytes)
	}
	if len(c.Cluster) > maxNameBytes || !printable(c.Cluster) {
		fault("Cluster", "%q must be printable ASCII, at most %d bytes", c.Cluster, maxNameBytes)
	}
	if c.Secret != nil && len(c.Secret) < minSecret {
		fault("Secret", "has %d bytes; give at least %d random ones, or nil", len(c.Secret), minSecret)
	}
	if c.DigestKey != nil && len(c.DigestKey) < minSecret {
		fault("DigestKey", "has %d bytes; give at least %d random ones, or nil", len(c.DigestKey), minSecret)
	}
	c.validateRotation(fault)
	if c.TLS != nil {
		for _, err := range checkTLS(c.TLS) {
			fault("TLS", "%v", err)
		}
	}
	if c.MaxMemory < minMaxMemory || c.MaxMemory > math.MaxInt {
		fault("MaxMemory", "is %d bytes; give at least %d (1 MiB), or 0 for %d", c.MaxMemory, minMaxMemory, defaultMaxMemory)
	}
	if c.HitTimeout < minHitTimeout || c.HitTimeout > maxHitTimeout {
		fault("HitTimeout", "%v is not between %v and %v", c.HitTimeout, minHitTimeout, maxHitTimeout)
	}
	if c.DeniedKeys < 0 || c.DeniedKeys > maxDenied {
		fault("DeniedKeys", "%d is not between 0 and %d", c.DeniedKeys, maxDenied)
	}
	if c.Bind == "" {
		if len(c.Seeds) > 0 {
			fault("Seeds", "a standalone replica can't join any; set Bind as well, for example to \"0.0.0.0:7946\"")
		}
		c.validateAlone(fault)
		if c.PeerBind != anyPort("") || c.Advertise != "" {
			fault("Bind", "is empty, so PeerBind and Advertise mean nothing; set it as well")
		}
		return errors.Join(errs...)
	}
	c.validateAddresses(fault)
	return errors.Join(errs...)
}

// validateAlone reports to fault what a node without others would ignore in silence,
// though who sets it means to have some.
func (c Config) validateAlone(fault func(field, format string, args ...any)) {
	for _, f := range []struct {
		field string
		set   bool
	}{{"Secret", c.Secret != nil}, {"AcceptSecrets", len(c.AcceptSecrets) > 0}, {"TLS", c.TLS != nil}} {
		if f.set {
			fault(f.field, "protects what passes between replicas, and a standalone one has no others; set Bind as well, for example to \"0.0.0.0:7946\", or leave it out")
		}
	}
}

// validateRotation reports to fault what is wrong with a secret that is about to
// change.
func (c Config) validateRotation(fault func(field, format string, args ...any)) {
	for i, s := range c.AcceptSecrets {
		if len(s) < minSecret {
			fault(fmt.Sprintf("AcceptSecrets[%d]", i), "has %d bytes; give at least %d random ones, as in Secret", len(s), minSecret)
		}
	}
	switch {
	case len(c.AcceptSecrets) == 0:
	case c.Secret == nil:
		fault("AcceptSecrets", "there is no Secret that it could follow; a first one must be given to all replicas at once")
	case c.DigestKey == nil:
		fault("DigestKey", "is needed while the secret changes, or every key would become another one and what was counted be forgotten; set it to what Secret was before the change, and keep it")
	}
}

// validateAddresses reports to fault what is wrong with the addresses of a node
// that has some.
func (c Config) validateAddresses(fault func(field, format string, args ...any)) {
	for _, f := range []struct{ field, address string }{{"Bind", c.Bind}, {"PeerBind", c.PeerBind}} {
		if f.field == "PeerBind" && f.address == anyPort(c.Bind) {
			continue // as right or wrong as Bind
		}
		if err := checkAddress(f.address); err != nil {
			fault(f.field, "%v", err)
		} else if c.Secret == nil && !c.Insecure && !isLoopback(f.address) {
			fault(f.field, "%s is reachable from other hosts; set Secret to the same random bytes on all replicas, or Insecure if the network itself keeps strangers out, or bind to loopback", f.address)
		}
	}
	if c.Advertise != "" {
		if a, err := netip.ParseAddrPort(c.Advertise); err != nil || a.Addr().IsUnspecified() || a.Port() == 0 {
			fault("Advertise", "%q is not an IP:port that others can reach", c.Advertise)
		} else if c.Secret == nil && !c.Insecure && !a.Addr().IsLoopback() {
			fault("Advertise", "other hosts are told to come to %s; set Secret, or Insecure if the network itself keeps strangers out", c.Advertise)
		}
	}
	for i, seed := range c.Seeds {
		host, port, _ := net.SplitHostPort(seed)
		if err := checkAddress(seed); err != nil {
			fault(fmt.Sprintf("Seeds[%d]", i), "%v", err)
		} else if host == "" || port == "0" {
			fault(fmt.Sprintf("Seeds[%d]", i), "nobody can be reached at %q; give host:port, or a host alone where Bind has a port", seed)
		}
	}
}

// anyPort is the address of any free port on the host of bind.
func anyPort(bind string) string {
	host, _, _ := net.SplitHostPort(bind)
	return net.JoinHostPort(host, "0")
}

// checkAddress reports what is wrong with a host:port.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", address, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has the port %q; it must be a number from 0 to 65535", address, port)
	}
	if strings.ContainsAny(host, " /,") {
		return fmt.Errorf("%q has a host that can't be a name or an IP", address)
	}
	return nil
}

// isLoopback reports whether an address to bind can be reached from this host
// alone.
func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
