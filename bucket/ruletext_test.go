package bucket_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

var _ flag.Value = (*bucket.Rule)(nil)

// sameRule doesn't tell a burst that is the count from none: they mean the same.
func sameRule(a, b *bucket.Rule) bool {
	same := func(a, b bucket.Limit) bool {
		a.Burst, b.Burst = a.Capacity(), b.Capacity()
		return a == b
	}
	return a.Name() == b.Name() && slices.EqualFunc(a.Limits(), b.Limits(), same) && slices.EqualFunc(a.Penalties(), b.Penalties(), same) &&
		a.FailurePolicy() == b.FailurePolicy() && a.Mode() == b.Mode() && a.Equivalent(b)
}

// drawName draws names that are hard to tell from the rest of the text.
func drawName(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"login", "penalty", "Policy deny", "mode", "penalty x", `"`, `a"b`, "a;b", "a=b", "a: b", "1/second", " x ", `\`, "a, b|c"}),
		rapid.StringMatching(`[ -~]{1,20}`),
	).Draw(t, "name")
}

func TestRulesAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		used := map[string]bool{}
		limit := func() bucket.Limit {
			l := drawPlain(t)
			l.Per = min(l.Per, 1e6) * rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second}).Draw(t, "unit")
			if name := drawName(t); !used[name] && rapid.Bool().Draw(t, "named") {
				l.Name, used[name] = name, true
			}
			if l.Burst == l.Count {
				l.Burst = 0
			}
			return l
		}
		limits := []bucket.Limit{limit(), limit()}
		opts := []bucket.RuleOption{
			bucket.WithFailurePolicy(rapid.SampledFrom([]bucket.FailurePolicy{bucket.LocalShare, bucket.Allow, bucket.Deny}).Draw(t, "policy")),
			bucket.WithMode(rapid.SampledFrom([]bucket.Mode{bucket.Enforce, bucket.Shadow, bucket.Off}).Draw(t, "mode")),
		}
		if rapid.Bool().Draw(t, "penalized") {
			opts = append(opts, bucket.WithPenalty(limit()))
		}
		name := rapid.OneOf(rapid.Just("\x00\xff é"), rapid.Just("api/v1"), rapid.Custom(drawName)).Draw(t, "rule")
		rule, err := bucket.NewRule(name, limits, opts...)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(struct{ Rule bucket.Rule }{*rule})
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Rule bucket.Rule }
		if err := json.Unmarshal(text, &got); err != nil || !sameRule(rule, &got.Rule) {
			t.Fatalf("%v became %s and that %v, %v", rule, text, &got.Rule, err)
		}
	})
}

func TestRuleTexts(t *testing.T) {
	for text, want := range map[string]string{
		"login: 5/second; 100/hour; penalty 20/hour; policy deny; mode shadow":   "login: 5 per 1 second; 100 per 1 hour; penalty 20 per 1 hour; policy deny; mode shadow",
		"login:5/second:,mode  Enforce|policy local  share,daily=9/day fixed":    "login: 5 per 1 second; daily = 9 per 1 day fixed",
		` "a:b" : "x;y"=5 per 100ms sliding;PENALTY pen = 2/hour ; 1/day`:        `"a:b": "x;y" = 5 per 100ms sliding; 1 per 1 day; penalty pen = 2 per 1 hour`,
		"r: 5/100ms; 6 PER 1h30m leaky burst 2; 7 per 0 second:, 8/24h calendar": "r: 5 per 100ms; 6 per 90 minute leaky burst 2; 7 per 1 second; 8 per 1 day calendar",
		"r: penalty = 5/second; policy=6/second":                                 `r: "penalty" = 5 per 1 second; policy = 6 per 1 second`,
	} {
		var r bucket.Rule
		if err := r.Set(text); err != nil || r.String() != want && r.String() != strings.Replace(want, "; policy =", `; "policy" =`, 1) {
			t.Errorf("%q is %q, %v; want %q", text, r.String(), err, want)
		}
	}
}

func TestRuleTextsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"":                           "has no name",
		"5/second":                   "has no name",
		": 5/second":                 "has no name",
		`"": 5/second`:               "has no name",
		`"login: 5/second`:           "has no end",
		`"login" 5/second`:           "must be followed by :",
		"login:":                     `part 1: rate string ""`,
		"login: 5/second; 6/week; 7": `part 2: rate string "6/week": at offset 2`,
		"login: 5/second;; 7":        "part 3:",
		"login: policy deny":         "0 limits",
		"login: 5/second; policy no": `part 2: policy "no"; give one of local share, allow and deny, once`,
		"login: 5/second; policy deny; policy deny": "part 3: policy",
		"login: 5/second; mode on":                  `part 2: mode "on"; give one of enforce, shadow and off, once`,
		"login: 5/second; mode off; mode off":       "part 3: mode",
		"login: 5/second; penalty":                  `part 2: rate string ""`,
		"login: 5/second; penalty 0/hour":           "a penalty of 0",
		`login: "a" 5/second`:                       "must be followed by =",
		`login: "a`:                                 "has no end",
		`login: penalty "a`:                         "has no end",
		"login: 5 per -1s":                          "Per is -1s",
		"login: 5 per 0s":                           "field Per is 0s; it must be above 0",
		"login: 5/0ms fixed":                        "field Per is 0s",
		"login: 5/s":                                "offset 2: expected second",
		"login: 5/0":                                "offset 3: expected second",
		"login: 5/7h calendar":                      "field Per is 7h",
		"login: 5/h":                                "offset 2",
		"login: 5/100ms often":                      `offset 8: unexpected "often"`,
		"login: 5 per 1.5x":                         "offset",
		"login: a = 5/hour; a = 6/hour":             `both named "a"`,
		strings.Repeat("x", 257) + ": 5/second":     "257 bytes",
		"login: 1/day,1/day,1/day,1/day,1/day,1/day,1/day,1/day; penalty 1/day": "9 limits; a rule has 1 to 8, penalties included",
	} {
		r := *bucket.MustRule("before", "1/day")
		if err := r.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "bucket: rule ") || r.Name() != "before" {
			t.Errorf("%q is %v, %v; want %q", text, &r, err, says)
		}
	}
}

// The name, given once more with the limits, is no part of them.
func TestRuleTextsWithTheNameTwice(t *testing.T) {
	const remedy = "the rule's name is given apart, as the first argument of ParseRule, and a limit's own is followed by =, as in daily = 100/day"
	for text, says := range map[string]string{
		"login: 5/second":                       `part 1: rate string "login: 5/second": at offset 0: expected a count, as in 10/minute, not "login:"; ` + remedy,
		"my login : 5/second":                   `not "my"; ` + remedy,
		"login: penalty 20/hour; 5/second":      "part 1: ",
		"5/second; daily: 100/day":              `part 2: rate string "daily: 100/day"`,
		"5/second; penalty login: 20/hour":      "part 2: ",
		"login: daily = 100/day; hourly=5/hour": `part 1: the name "login: daily" has a colon, so it must be quoted; ` + remedy,
	} {
		if r, err := bucket.ParseRule("login", text); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("%q: %v, %v; want %q", text, r, err, says)
		}
	}
	for _, text := range []string{"login", "login/second", "login:; 5/second", "5/s: 6/hour"} {
		if _, err := bucket.ParseRule("login", text); err == nil || strings.Contains(err.Error(), remedy) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if r, err := bucket.ParseRule("login", `"login: daily" = 100/day`); err != nil || r.Limits()[0].Name != "login: daily" {
		t.Errorf("a quoted name: %v, %v", r, err)
	}
}

// An error says once whose it is, and a program still finds where the fault is.
func TestRuleErrorsNameThePackageOnce(t *testing.T) {
	_, err := bucket.ParseRule("login", "10/fortnight; 5/second; penalty x")
	const want = `bucket: rule "login": part 1: rate string "10/fortnight": at offset 3: expected second, minute, hour, day, month or year, not "fortnight"
bucket: rule "login": part 3: rate string "x": at offset 0: expected a count, as in 10/minute, not "x"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	fault, ok := errors.AsType[*bucket.ParseError](err)
	if !ok || fault.Offset != 3 || !errors.Is(err, fault) {
		t.Errorf("the fault is %+v", fault)
	}
	var r bucket.Rule
	if err := r.UnmarshalText([]byte("login: 5/s")); err == nil || strings.Count(err.Error(), "bucket:") != 1 {
		t.Error(err)
	}
}

func TestRulesThatAreNoText(t *testing.T) {
	for _, r := range []*bucket.Rule{{}, decode(t, encode(t, bucket.MustRule("r", "1/day")))} {
		if text, err := r.MarshalText(); err == nil {
			t.Errorf("%v is %q", r, text)
		}
	}
	if s := (&bucket.Rule{}).String(); s != "" {
		t.Errorf("the zero rule is %q", s)
	}
}

func TestRuleAsFlag(t *testing.T) {
	var r bucket.Rule
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&r, "rule", "a rule")
	flags.PrintDefaults() // makes a zero one
	if err := flags.Parse([]string{"-rule", "login: 5/second; mode off"}); err != nil || r.Name() != "login" || r.Mode() != bucket.Off {
		t.Errorf("%v, %v", &r, err)
	}
	if err := flags.Parse([]string{"-rule", "login: soon"}); err == nil {
		t.Error("no error")
	}
}

func FuzzRuleText(f *testing.F) {
	f.Add("login: 5/second; daily = 100/day fixed; penalty 20/hour; policy deny; mode shadow")
	f.Add("0:1/minute Burst1")
	f.Add(`"a:\x00": "b;" = 5 per 1.5ms, 6/minute burst 7 | mode off`)
	f.Fuzz(func(t *testing.T, text string) {
		var r, again bucket.Rule
		if r.Set(text) != nil {
			return
		}
		out, err := r.MarshalText()
		if err != nil {
			t.Fatalf("%q has no text: %v", text, err)
		}
		if err := again.UnmarshalText(out); err != nil || !sameRule(&r, &again) {
			t.Fatalf("%q is %q and that %v, %v", text, out, &again, err)
		}
	})
}
