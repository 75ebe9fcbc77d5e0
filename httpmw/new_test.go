package httpmw_test

import (
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// A flag's rule that nobody has set is none.
func TestNewRefusesAnEmptyRule(t *testing.T) {
	if _, err := httpmw.New(newLocal(), new(bucket.Rule), everybody); err == nil || !strings.Contains(err.Error(), "no rule, or an empty one") {
		t.Errorf("%v", err)
	}
}

func TestNewNamesAllThatIsMissing(t *testing.T) {
	rule := newRule(t, bucket.Limit{Count: 1, Per: 1})
	words := []string{"no limiter", "no rule", "no key function"}
	for missing := range 8 {
		var (
			l   httpmw.Limiter
			r   *bucket.Rule
			key httpmw.KeyFunc
		)
		if missing&1 == 0 {
			l = newLocal()
		}
		if missing&2 == 0 {
			r = rule
		}
		if missing&4 == 0 {
			key = everybody
		}
		limit, err := httpmw.New(l, r, key)
		if (err != nil) != (missing > 0) || (limit == nil) != (missing > 0) {
			t.Errorf("missing %03b: got a middleware: %t, and %v", missing, limit != nil, err)
		}
		for i, word := range words {
			if err != nil && strings.Contains(err.Error(), word) != (missing&(1<<i) != 0) {
				t.Errorf("missing %03b: %q in %q", missing, word, err)
			}
		}
	}
}
