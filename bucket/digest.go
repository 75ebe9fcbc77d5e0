package bucket

import (
	"encoding/binary"

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

// Digest returns the digest of a key of any length under a rule's name. It
// allocates only where name and key together exceed 254 bytes.
func (k DigestKey) Digest(rule *Rule, key string) Digest {
	var space [256]byte
	b := append(space[:0], byte(len(rule.name)), byte(len(rule.name)>>8))
	b = append(b, rule.name...)
	b = append(b, key...)
	hi, lo := siphash.Hash128(binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:]), b)
	return Digest{hi, lo}
}

// Fingerprint tells two digest keys apart without giving either away: peers
// compare it before the first hit.
func (k DigestKey) Fingerprint() uint64 {
	return siphash.Hash(binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:]), []byte("shoal digest key"))
}
