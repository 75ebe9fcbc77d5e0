package bucket_test

import (
	"strings"
	"testing"

	"github.com/dchest/siphash"

	"github.com/shoal-dev/shoal/bucket"
)

var long = strings.Repeat("long ", 1<<20/5)

// Every (rule, key) has a bucket of its own, wherever the one ends and the other
// begins, and however long they are.
func TestKeysAreNotConfused(t *testing.T) {
	store := newStore()
	seen := map[bucket.Digest]string{}
	for _, names := range []struct{ rule, key string }{
		{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"a", "b"}, {"b", "a"}, {"a", "a"}, {"a", ""},
		{"a", "\x00"}, {"a\x00", ""}, {"\x01", "\x00"}, {"\x01\x00", ""}, {"a", "\xff\xfe"}, {"a", "é"},
		{long[:255], "x"}, {long[:256], "x"}, {long[:255], long[255:256] + "x"},
		{"a", long}, {"a", long[:1<<20-6] + "!"}, {"a", long[1:]}, {"a", "!" + long[1:]},
		{"a", long[:253]}, {"a", long[:254]}, {"a", long[:255]}, {"a", long[:256]},
	} {
		rule := bucket.MustRule(names.rule, "1/hour")
		if d := store.Take(rule, names.key, 1, 0); !d.Allowed {
			t.Errorf("rule %.20q, key %.20q: shares a bucket: %+v", names.rule, names.key, d)
		}
		if d := store.Take(rule, names.key, 1, 0); d.Allowed {
			t.Errorf("rule %.20q, key %.20q: was forgotten", names.rule, names.key)
		}
		digest := store.Digest(rule, names.key)
		if other, twice := seen[digest]; twice {
			t.Errorf("rule %.20q, key %.20q: has the digest of %s", names.rule, names.key, other)
		}
		seen[digest] = names.rule + ", " + names.key[:min(len(names.key), 20)]
	}
	if store.Len() != len(seen) {
		t.Errorf("%d entries for %d keys", store.Len(), len(seen))
	}
}

func TestDigestsAreKeyed(t *testing.T) {
	rule := bucket.MustRule("rule", "1/hour")
	with := func(k bucket.DigestKey) bucket.Digest { return k.Digest(rule, "key") }
	seen := map[bucket.Digest]bool{with(bucket.DigestKey{}): true}
	fingerprints := map[uint64]bool{bucket.DigestKey{}.Fingerprint(): true}
	for i := range 16 {
		var k bucket.DigestKey
		k[i] = 1
		if d := with(k); seen[d] || d != with(k) {
			t.Errorf("byte %d of the digest key: digest %x", i, d)
		} else {
			seen[d] = true
		}
		fingerprints[k.Fingerprint()] = true
	}
	if len(fingerprints) != 17 {
		t.Errorf("17 digest keys have %d fingerprints", len(fingerprints))
	}
	store := bucket.NewStore(bucket.StoreConfig{DigestKey: bucket.DigestKey{1}})
	if store.Digest(rule, "key") != with(bucket.DigestKey{1}) {
		t.Error("the store digests under another key than it was given")
	}
}

// All replicas, of whatever version, must agree on what is hashed: the key, under
// the hash of the rule's name.
func TestDigestIsSipHash(t *testing.T) {
	k := bucket.DigestKey{1, 0, 0, 0, 0, 0, 0, 0, 2}
	for _, name := range []string{"login", long[:256]} {
		hi, lo := siphash.Hash128(1, 2, []byte(name))
		hi, lo = siphash.Hash128(hi, lo, []byte("alice"))
		rule := bucket.MustRule(name, "1/hour")
		for range 2 {
			if got := k.Digest(rule, "alice"); got != (bucket.Digest{Hi: hi, Lo: lo}) {
				t.Errorf("rule %.10q: got %x, want %x %x", name, got, hi, lo)
			}
			(bucket.DigestKey{}).Digest(rule, "alice") // another cluster's, in the same process
		}
	}
}
