package transport

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

func TestRuleCacheRemembers(t *testing.T) {
	var c ruleCache
	encoding := []byte(wire(testRule))
	first, err := c.get(encoding)
	if err != nil || wire(first) != wire(testRule) {
		t.Fatalf("got %v, %v", first, err)
	}
	encoding[0] ^= 1 // the buffer is used again
	other, err := c.get(encoding)
	if err != nil || other == first {
		t.Errorf("another rule is the same, %v", err)
	}
	if again, err := c.get([]byte(wire(testRule))); err != nil || again != first {
		t.Errorf("the same rule was decoded again, %v", err)
	}
}

// A peer that brings ever new rules makes the owner remember no more than so
// many, and each is still decoded right.
func TestRuleCacheIsBounded(t *testing.T) {
	var c ruleCache
	for i := range 5 * maxCachedRules {
		rule := bucket.MustRule("api", fmt.Sprint(i, "/second"))
		got, err := c.get([]byte(wire(rule)))
		if err != nil || wire(got) != wire(rule) {
			t.Fatalf("rule %d is %v, %v", i, got, err)
		}
		if len(c.rules) > maxCachedRules {
			t.Fatalf("%d rules are remembered", len(c.rules))
		}
	}
}

func TestRuleCacheForgetsWhatIsWrong(t *testing.T) {
	var c ruleCache
	for _, encoding := range []string{"", "x", wire(testRule)[1:], strings.Repeat(wire(testRule), bucket.MaxLimits+1), strings.Repeat("\xff", testRule.BinarySize())} {
		if r, err := c.get([]byte(encoding)); r != nil || !errors.Is(err, errMalformed) {
			t.Errorf("%x: %v, %v", encoding, r, err)
		}
	}
	if len(c.rules) != 0 {
		t.Errorf("%d of them are remembered", len(c.rules))
	}
}
