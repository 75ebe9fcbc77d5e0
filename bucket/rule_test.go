package bucket_test

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

func TestNewRuleReportsWhatIsWrong(t *testing.T) {
	good := bucket.Limit{Count: 10, Per: time.Minute}
	named := func(name string) bucket.Limit { l := good; l.Name = name; return l }
	burst := func(count, burst int64, per time.Duration) bucket.Limit {
		return bucket.Limit{Count: count, Burst: burst, Per: per}
	}
	for name, c := range map[string]struct {
		rule   string
		limits []bucket.Limit
		faults []string // none: it is right
	}{
		"right":                       {"r", []bucket.Limit{good}, nil},
		"eight limits":                {"r", slices.Repeat([]bucket.Limit{good}, 8), nil},
		"a name of 256 bytes":         {long[:256], []bucket.Limit{good}, nil},
		"a name of any bytes":         {"\x00\xff", []bucket.Limit{good}, nil},
		"names of limits":             {"r", []bucket.Limit{named("a"), named("A"), good, good, named(" ~"), named(long[:64])}, nil},
		"the longest fill":            {"r", []bucket.Limit{burst(1, 0, 1<<62), burst(2, 4, 1<<61), burst(math.MaxInt64, math.MaxInt64, 1<<62)}, nil},
		"nothing, with any burst":     {"r", []bucket.Limit{burst(0, math.MaxInt64, math.MaxInt64)}, nil},
		"no name":                     {"", []bucket.Limit{good}, []string{"the name is empty"}},
		"a name of 257 bytes":         {long[:257], []bucket.Limit{good}, []string{"257 bytes; at most 256"}},
		"no limit":                    {"r", nil, []string{"0 limits; a rule has 1 to 8"}},
		"nine limits":                 {"r", slices.Repeat([]bucket.Limit{good}, 9), []string{"9 limits; a rule has 1 to 8"}},
		"a name twice":                {"r", []bucket.Limit{good, named("x"), good, named("x")}, []string{`limits 2 and 4 are both named "x"`}},
		"a name of 65 bytes":          {"r", []bucket.Limit{named(long[:65])}, []string{"limit 1: field Name"}},
		"a name that isn't printable": {"r", []bucket.Limit{named("a\nb"), named("ü"), named("\x7f"), named("\x00")}, []string{"limit 1: field Name", "limit 2: field Name", "limit 3: field Name", "limit 4: field Name"}},
		"an unknown algorithm":        {"r", []bucket.Limit{{Algorithm: 77, Count: 1, Per: 1}}, []string{"limit 1: field Algorithm is 77"}},
		"no Per":                      {"r", []bucket.Limit{burst(1, 0, 0)}, []string{"Per is 0s"}},
		"too long to fill":            {"r", []bucket.Limit{burst(1, 0, 1<<62+1), burst(2, 4, 1<<61+1), burst(1, math.MaxInt64, 1)}, []string{"limit 1: a burst of 1", "limit 2: a burst of 4", "limit 3: a burst of 9223372036854775807"}},
		"everything at once": {"", []bucket.Limit{{Name: "\t", Algorithm: 9, Count: -1, Per: -1, Burst: -1}, named("x"), named("x")},
			[]string{"name is empty", "limit 1:", "Algorithm is 9", "Count is -1", "Per is -1ns", "Burst is -1", `Name "\t"`, `limits 2 and 3 are both named "x"`, "failure policy 7", "failure policy 8"}},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []bucket.RuleOption
			if name == "everything at once" {
				opts = append(opts, bucket.WithFailurePolicy(7), bucket.WithFailurePolicy(8))
			}
			r, err := bucket.NewRule(c.rule, c.limits, opts...)
			if (err == nil) != (c.faults == nil) || (err == nil) != (r != nil) {
				t.Fatalf("got %v, %v", r, err)
			}
			for _, fault := range c.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("%v\ndoesn't say %q", err, fault)
				}
			}
			if err != nil && !strings.HasPrefix(err.Error(), "bucket: rule ") {
				t.Errorf("not in the package's name: %v", err)
			}
		})
	}
}

func TestRuleIsWhatItWasMadeOf(t *testing.T) {
	limits := []bucket.Limit{{Name: "fast", Count: 5, Per: time.Second}, {Count: 100, Per: time.Hour, Burst: 7}}
	r, err := bucket.NewRule("login", limits, bucket.WithFailurePolicy(bucket.Deny))
	if err != nil {
		t.Fatal(err)
	}
	original := slices.Clone(limits)
	limits[0].Count = 1     // the caller's own
	r.Limits()[1].Name = "" // a copy
	if r.Name() != "login" || r.FailurePolicy() != bucket.Deny || !slices.Equal(r.Limits(), original) {
		t.Errorf("got %q, %v, %+v", r.Name(), r.FailurePolicy(), r.Limits())
	}
	if got := r.String(); got != "login: fast = 5 per 1 second; 100 per 1 hour burst 7; policy deny" {
		t.Errorf("String is %q", got)
	}
	if p := bucket.MustRule("r", "1/day").FailurePolicy(); p != bucket.LocalShare {
		t.Errorf("the default policy is %v", p)
	}
}

func TestMustRulePanics(t *testing.T) {
	for _, c := range []struct{ name, limits, says string }{
		{"r", "10/fortnight", "offset 3"},
		{"", "10/minute", "name is empty"},
		{"r", "1/200 years", "over 146 years"},
		{"r", "1/day,1/day,1/day,1/day,1/day,1/day,1/day,1/day,1/day", "9 limits"},
	} {
		func() {
			defer func() {
				if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%+v: panics with %v", c, err)
				}
			}()
			bucket.MustRule(c.name, c.limits)
		}()
	}
}

func TestOptionsCanFail(t *testing.T) {
	odd := errors.New("odd")
	_, err := bucket.NewRule("r", []bucket.Limit{per(1, day)}, func(*bucket.Rule) error { return odd })
	if !errors.Is(err, odd) {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"token":            bucket.TokenBucket,
		"algorithm 200":    bucket.Algorithm(200),
		"local share":      bucket.LocalShare,
		"allow":            bucket.Allow,
		"deny":             bucket.Deny,
		"failure policy 9": bucket.FailurePolicy(9),
	} {
		if got.String() != want {
			t.Errorf("%#v is %q, want %q", got, got, want)
		}
	}
}

func TestCapacity(t *testing.T) {
	for _, c := range []struct{ count, burst, want int64 }{
		{10, 0, 10}, {10, 3, 3}, {10, 30, 30}, {0, 0, 0}, {0, 5, 0},
	} {
		if got := (bucket.Limit{Count: c.count, Burst: c.burst, Per: 1}).Capacity(); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func TestRuleCapacity(t *testing.T) {
	for limits, want := range map[string]int64{"10/hour": 10, "10/hour; 5/second; 7/minute": 5, "5/hour; 0/day": 0} {
		if got := bucket.MustRule("r", limits).Capacity(); got != want {
			t.Errorf("%s: got %d, want %d", limits, got, want)
		}
	}
}

// Only a faulty peer names a place that the rule hasn't.
func TestDecisionOfAnUnknownPlace(t *testing.T) {
	r := bucket.MustRule("r", "1/second; 2/second")
	for place, want := range map[uint8]int64{0: 1, 1: 2, 2: 1, 255: 1} {
		v := bucket.Verdict{Allowed: true, Degraded: true, Limit: place, Remaining: 3, RetryAfter: 4, ResetAfter: 5}
		d := bucket.Decision{Allowed: true, Degraded: true, Limit: per(want, time.Second), Remaining: 3, RetryAfter: 4, ResetAfter: 5}
		if got := r.Decision(v); got != d {
			t.Errorf("place %d: got %+v, want %+v", place, got, d)
		}
	}
}

var _ flag.Value = (*bucket.FailurePolicy)(nil)

func TestFailurePoliciesAsText(t *testing.T) {
	for text, want := range map[string]bucket.FailurePolicy{"local share": bucket.LocalShare, " Local  Share ": bucket.LocalShare, "ALLOW": bucket.Allow, "deny": bucket.Deny} {
		var p bucket.FailurePolicy = 9
		if err := p.Set(text); err != nil || p != want {
			t.Errorf("%q is %v, %v", text, p, err)
		}
	}
	out, err := json.Marshal([]bucket.FailurePolicy{bucket.LocalShare, bucket.Allow, bucket.Deny})
	if err != nil || string(out) != `["local share","allow","deny"]` {
		t.Errorf("%s, %v", out, err)
	}
	p := bucket.Deny
	if err := p.Set("maybe"); err == nil || !strings.Contains(err.Error(), "choose local share, allow or deny") || p != bucket.Deny {
		t.Errorf("%v, %v", p, err)
	}
	if text, err := bucket.FailurePolicy(9).MarshalText(); err == nil {
		t.Errorf("%q", text)
	}
}
