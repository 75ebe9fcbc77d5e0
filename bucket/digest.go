package bucket

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/dchest/siphash"
)

// Digest is the identity of a key under a rule: all that leaves the replica
// that saw the key. It is a keyed hash (SipHash-2-4 with 128 bits of output,
// Aumasson and Bernstein 2012), so without the digest key nobody can find two
// keys that share a bucket, nor aim keys at one owner.
type Digest struct{ Hi, Lo uint64 }

// DigestKey is the secret under which keys are digested. All replicas of a
// cluster need the same.
type DigestKey [16]byte

// Digest returns the digest of a key of any length under a rule's name: the
// SipHash of the key, keyed with the SipHash of the name, keyed with k. So the
// name is hashed once, and the two can't run into each other.
func (k DigestKey) Digest(rule *Rule, key string) Digest { return k.digest(rule, key) }

func (k *DigestKey) digest(rule *Rule, key string) Digest {
	hi, lo := rule.keyed(k)
	hi, lo = sipHash(hi, lo, key)
	return Digest{hi, lo}
}

// keyed is the key of a rule's digests under a DigestKey.
type keyed struct {
	by     DigestKey
	hi, lo uint64
}

// keyed returns the key of the rule's digests under k. The first that is asked for
// is remembered: a process rarely has another.
func (r *Rule) keyed(k *DigestKey) (hi, lo uint64) {
	if r.shared == nil {
		return k.of(r.name)
	}
	known := r.shared.keyed.Load()
	if known != nil && known.by == *k {
		return known.hi, known.lo
	}
	hi, lo = k.of(r.name)
	if known == nil {
		r.shared.keyed.CompareAndSwap(nil, &keyed{*k, hi, lo})
	}
	return hi, lo
}

func (k *DigestKey) of(name string) (hi, lo uint64) {
	return sipHash(binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:]), name)
}

// sipHash is SipHash-2-4 with 128 bits of output (Aumasson and Bernstein 2012), of a
// string that isn't copied for it: it is only read.
func sipHash(k0, k1 uint64, s string) (hi, lo uint64) {
	return siphash.Hash128(k0, k1, unsafe.Slice(unsafe.StringData(s), len(s)))
}

// shared is what all copies of a Rule have together.
type shared struct {
	mode  atomic.Uint32 // a Mode
	keyed atomic.Pointer[keyed]
}

// Fingerprint tells two digest keys apart without giving either away: peers
// compare it before the first hit.
func (k DigestKey) Fingerprint() uint64 {
	fingerprint, _ := k.of("shoal digest key")
	return fingerprint
}
