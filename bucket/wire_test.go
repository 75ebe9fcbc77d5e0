package bucket_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

func encode(t tester, r *bucket.Rule) []byte {
	t.Helper()
	b, err := r.AppendBinary(nil)
	if err != nil || len(b) != r.BinarySize() || len(b) > bucket.MaxRuleBytes {
		t.Fatalf("AppendBinary = %d bytes, %v; BinarySize %d", len(b), err, r.BinarySize())
	}
	return b
}

func decode(t tester, b []byte) *bucket.Rule {
	t.Helper()
	r, err := bucket.DecodeRule(b)
	if err != nil {
		t.Fatalf("DecodeRule: %v", err)
	}
	return r
}

// The owner, who has the decoded rule, and a store with the original can't be
// told apart; nor can one that meets now the one, now the other.
func TestDecodedRuleDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t, 1, 8)
		if rapid.Bool().Draw(t, "unnamed") {
			limits := rule.Limits()
			for i := range limits {
				limits[i].Name = ""
			}
			rule = newRule(t, "drawn", limits...)
		}
		decoded := decode(t, encode(t, rule))
		if again := encode(t, decoded); !bytes.Equal(again, encode(t, rule)) {
			t.Fatalf("encodes to %x, and decoded to %x", encode(t, rule), again)
		}
		home, owner, mixed := newStore(), newStore(), newStore()
		digest := home.Digest(rule, "key")
		var now int64
		for range 20 {
			n := drawTokens(t, rule)
			k := rapid.IntRange(1, 3).Draw(t, "replicas")
			want := home.TakeShare(rule, digest, n, now, k)
			if got := owner.TakeShare(decoded, digest, n, now, k); got != want {
				t.Fatalf("%d tokens at %d: decided %+v, originally %+v", n, now, got, want)
			}
			either := rapid.SampledFrom([]*bucket.Rule{rule, decoded}).Draw(t, "rule")
			if got := mixed.TakeShare(either, digest, n, now, k); got != want {
				t.Fatalf("%d tokens at %d: decided %+v, originally %+v", n, now, got, want)
			}
			now = drawLater(t, rule, now)
		}
	})
}

// Replicas of different versions must agree on these bytes.
func TestRuleBytes(t *testing.T) {
	const (
		first  = "98f0eef99666a752" // FNV-1a of "any" ff 00 00 00
		second = "98f0eff99666a905" // FNV-1a of "any" ff 00 00 01
		login  = "f58ff37af5a47cf3" // FNV-1a of "any" ff "login"
	)
	rule := newRule(t, "any",
		bucket.Limit{Count: 5, Per: time.Second},
		bucket.Limit{Name: "login", Count: 6, Per: time.Minute, Burst: 7},
		bucket.Limit{Count: 0, Per: 3, Burst: 9})
	want := strings.Join([]string{
		first, "0000", "0000000000000005", "000000003b9aca00", "0000000000000005",
		login, "0000", "0000000000000006", "0000000df8475800", "0000000000000007",
		second, "0000", "0000000000000000", "0000000000000003", "0000000000000000",
	}, "")
	if got := hex.EncodeToString(encode(t, rule)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	zoned := newRule(t, "any",
		bucket.Limit{Name: "login", Algorithm: bucket.FixedWindow, Count: 5, Per: bucket.Day, Calendar: true, Zone: "Asia/Tokyo"},
		bucket.Limit{Name: "a", Algorithm: bucket.SlidingLog, Count: 5, Per: time.Second})
	want = strings.Join([]string{
		login, "0202", "0000000000000005", "00004e94914f0000", "0000000000000005", "0a", hex.EncodeToString([]byte("Asia/Tokyo")),
		"422b9ecd97be5795", "0400", "0000000000000005", "000000003b9aca00", "0000000000000005",
	}, "")
	if got := hex.EncodeToString(encode(t, zoned)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if b, _ := rule.AppendBinary([]byte("head")); !bytes.HasPrefix(b, []byte("head\x98")) {
		t.Errorf("appends %q", b)
	}
}

func TestDecodeRuleRefuses(t *testing.T) {
	good := encode(t, bucket.MustRule("r", "10/minute"))
	const termBytes = 34 // of a limit without a zone
	zoned := encode(t, bucket.MustRule("r", "10/day calendar in Europe/Berlin"))
	two := encode(t, bucket.MustRule("r", "10/minute; 20/hour"))
	with := func(at int, value ...byte) []byte {
		return slices.Replace(slices.Clone(good), at, at+len(value), value...)
	}
	nine := encode(t, bucket.MustRule("r", "1/day,1/day,1/day,1/day,1/day,1/day,1/day,1/day"))
	nine = append(nine, good...)
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"one byte":             good[:1],
		"a byte too few":       good[:len(good)-1],
		"a byte too many":      append(slices.Clone(good), 0),
		"a limit and a half":   two[:len(two)-len(good)/2],
		"nine limits":          nine,
		"an unknown algorithm": with(8, 9),
		"an unknown flag":      with(9, 8),
		"a negative count":     with(10, 0x80),
		"a negative window":    with(18, 0x80),
		"no window":            with(18, 0, 0, 0, 0, 0, 0, 0, 0),
		"a negative burst":     with(26, 0xff),
		"too long to fill":     with(26, 0x7f),
		"a calendar of hours":  append(with(8, 2, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 0x46, 0x30, 0xb8, 0xa0, 0), 0),
		"a zone cut short":     zoned[:len(zoned)-1],
		"an unknown zone":      append(zoned[:len(zoned)-1:len(zoned)-1], 'x'),
		"UTC by its name":      append(append(zoned[:termBytes:termBytes], 3), "UTC"...),
		"Local":                append(append(zoned[:termBytes:termBytes], 5), "Local"...),
		"no zone at all":       zoned[:termBytes],
		"a log of 1025":        with(8, 4, 0, 0, 0, 0, 0, 0, 0, 4, 1),
		"an identity twice":    append(slices.Clone(good), good...),
	} {
		if r, err := bucket.DecodeRule(b); err == nil || r != nil || !strings.HasPrefix(err.Error(), "bucket: malformed") {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
	}
}

func FuzzDecodeRule(f *testing.F) {
	f.Add([]byte{})
	for _, limits := range []string{"10/minute", "0/day; 7/second", "9223372036854775807/2 hours", "3/day log; 5/week calendar in Europe/Berlin; 7/day calendar"} {
		f.Add(encode(f, bucket.MustRule("r", limits)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rule, err := bucket.DecodeRule(b)
		if err != nil {
			return
		}
		if again := encode(t, rule); !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x", b, again)
		}
		if r, err := bucket.NewRule("r", rule.Limits()); err != nil {
			t.Fatalf("NewRule refuses %v: %v", r, err)
		}
		store := newStore()
		for _, n := range []int64{0, 1, 2, 1 << 40, math.MaxInt64, -1} {
			for _, now := range []int64{0, 1, 1 << 40, maxTime, 5} {
				v := store.TakeDigest(rule, bucket.Digest{Hi: 1, Lo: 2}, n, now)
				if v.Remaining < 0 || v.ResetAfter < 0 || v.Allowed != (v.RetryAfter == 0) || v.RetryAfter < 0 || v.Degraded {
					t.Fatalf("%v: %d tokens at %d: %+v", rule, n, now, v)
				}
				store.TakeShare(rule, bucket.Digest{Hi: 3, Lo: 4}, n, now, 3)
			}
		}
	})
}
