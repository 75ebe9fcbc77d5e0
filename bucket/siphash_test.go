package bucket

import (
	"testing"

	"github.com/dchest/siphash"
	"pgregory.net/rapid"
)

func TestSipHashAgainstAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k0, k1 := rapid.Uint64().Draw(t, "k0"), rapid.Uint64().Draw(t, "k1")
		b := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "message")
		hi, lo := sipHash(k0, k1, string(b))
		if h, l := siphash.Hash128(k0, k1, b); h != hi || l != lo {
			t.Fatalf("%x %x, want %x %x", hi, lo, h, l)
		}
	})
}
