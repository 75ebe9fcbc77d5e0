package httpmw_test

import (
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/httpmw"
)

// says is a key function that knows its answer.
func says(key string, err error) httpmw.KeyFunc {
	return func(*http.Request) (string, error) { return key, err }
}

func uncalled(t *testing.T) httpmw.KeyFunc {
	return func(*http.Request) (string, error) {
		t.Error("called")
		return "", nil
	}
}

var errBroken = errors.New("broken")

func TestAll(t *testing.T) {
	r := &http.Request{}
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"a"}, "a"},
		{[]string{"a", "b"}, "a|b"},
		{[]string{"GET /users/{id}", "203.0.113.7", "x"}, "GET /users/{id}|203.0.113.7|x"},
		{[]string{`a|b\`, `|`}, `a\|b\\|\|`},
	} {
		var keys []httpmw.KeyFunc
		for _, p := range c.parts {
			keys = append(keys, httpmw.Const(p))
		}
		isKey(t, httpmw.All(keys...), r, c.want)
	}
	noKey(t, httpmw.All(says("", nil), uncalled(t)), r, "empty")
	noKey(t, httpmw.All(says("a", nil), httpmw.Header("X-B"), uncalled(t)), r, "X-B")
	for _, err := range []error{errBroken, httpmw.ErrExempt} {
		if key, got := httpmw.All(says("a", nil), says("b", err))(r); key != "" || !errors.Is(got, err) {
			t.Errorf("got %q, %v", key, got)
		}
	}
}

func TestFirstOf(t *testing.T) {
	r := &http.Request{}
	isKey(t, httpmw.FirstOf(says("a", nil), uncalled(t)), r, "0:a")
	isKey(t, httpmw.FirstOf(says("", nil), says("half", errBroken), says("c", nil)), r, "2:c")
	noKey(t, httpmw.FirstOf(says("", errBroken), says("", nil)), r, "empty")
	for _, key := range []httpmw.KeyFunc{
		httpmw.FirstOf(says("", nil), httpmw.Exempt()),
		httpmw.FirstOf(httpmw.Exempt(), uncalled(t)),
		httpmw.FirstOf(httpmw.All(says("a", nil), httpmw.Exempt()), uncalled(t)),
		httpmw.Hashed(httpmw.Exempt()),
	} {
		if key, err := key(r); key != "" || !errors.Is(err, httpmw.ErrExempt) {
			t.Errorf("got %q, %v", key, err)
		}
	}
}

// TestFirstOfKeepsApart: nobody reaches another's bucket by naming it in a header.
func TestFirstOfKeepsApart(t *testing.T) {
	key := httpmw.FirstOf(httpmw.Header("X-User"), httpmw.ClientIP())
	victim, err := key(&http.Request{RemoteAddr: "203.0.113.7:1"})
	if err != nil || victim != "1:203.0.113.7" {
		t.Fatalf("got %q, %v", victim, err)
	}
	for _, v := range []string{"203.0.113.7", victim} {
		if got, err := key(with("X-User", v)); got == victim || err != nil {
			t.Errorf("%q: got %q, %v", v, got, err)
		}
	}
}

// TestCombinedKeysAreFunctions: what keys are combined of stays as it was given.
func TestCombinedKeysAreFunctions(t *testing.T) {
	list := []httpmw.KeyFunc{says("a", nil), says("b", nil)}
	all, first := httpmw.All(list...), httpmw.FirstOf(list...)
	clear(list)
	isKey(t, all, &http.Request{}, "a|b")
	isKey(t, first, &http.Request{}, "0:a")
}

// TestTuplesStayApart: two requests have one key only if all parts are the same,
// with every mark that keys are joined by among the parts, and around the length at
// which they become digests.
func TestTuplesStayApart(t *testing.T) {
	part := rapid.OneOf(
		rapid.StringMatching(`[|\\:#a]{1,4}`),
		rapid.Custom(func(t *rapid.T) string { return strings.Repeat("a|", rapid.IntRange(40, 70).Draw(t, "half")) }),
		rapid.Custom(func(t *rapid.T) string { return strings.Repeat("a", rapid.IntRange(120, 260).Draw(t, "length")) }),
	)
	r := &http.Request{}
	draw := func(t *rapid.T, name string) ([]string, string, string) {
		parts := rapid.SliceOfN(part, 2, 2).Draw(t, name)
		all, err1 := httpmw.All(says(parts[0], nil), says(parts[1], nil))(r)
		i := rapid.IntRange(0, 1).Draw(t, "place")
		keys := []httpmw.KeyFunc{says("", nil), says("", nil)}
		keys[i] = says(parts[0], nil)
		first, err2 := httpmw.FirstOf(keys...)(r)
		if err1 != nil || err2 != nil || len(all) > 256 || len(first) > 256 {
			t.Fatalf("%q: %q, %v, %q, %v", parts, all, err1, first, err2)
		}
		return append(parts, string('0'+rune(i))), all, first
	}
	rapid.Check(t, func(t *rapid.T) {
		a, allA, firstA := draw(t, "a")
		b, allB, firstB := draw(t, "b")
		if (allA == allB) != slices.Equal(a[:2], b[:2]) {
			t.Fatalf("%q: %q, %q: %q", a, allA, b, allB)
		}
		if (firstA == firstB) != (a[0] == b[0] && a[2] == b[2]) {
			t.Fatalf("%q: %q, %q: %q", a, firstA, b, firstB)
		}
	})
}

// TestDigestsAreNoKeys: a short text that looks like a long one's digest is not the
// same key.
func TestDigestsAreNoKeys(t *testing.T) {
	r := &http.Request{}
	long := says(strings.Repeat("a", 300), nil)
	first, _ := httpmw.FirstOf(long)(r)
	hash, _ := httpmw.Hashed(long)(r)
	if first != "0#"+hash {
		t.Errorf("got %q and %q", first, hash)
	}
	isKey(t, httpmw.FirstOf(says("#"+hash, nil)), r, "0:#"+hash)

	all, _ := httpmw.All(long, says("b", nil))(r)
	if strings.Contains(all, "|") || len(all) != 32 {
		t.Errorf("got %q", all)
	}
}

// TestLongKeys: a client can't make keys cost memory by making them long.
func TestLongKeys(t *testing.T) {
	long := strings.Repeat("x|", 1<<19)
	r := &http.Request{RemoteAddr: "10.0.0.1:80", Header: http.Header{
		"X-Api-Key": {long}, "Authorization": {"Bearer " + strings.ReplaceAll(long, "|", "y")},
		"X-Forwarded-For": {long}, "Forwarded": {"for=" + long}, "X-Real-Ip": {long},
	}}
	trusted := prefixes("10.0.0.0/8")
	for name, key := range map[string]httpmw.KeyFunc{
		"Header":          httpmw.Header("X-Api-Key"),
		"Hashed":          httpmw.Hashed(httpmw.Header("X-Api-Key")),
		"Bearer":          httpmw.Bearer(),
		"All":             httpmw.All(httpmw.Header("X-Api-Key"), httpmw.ClientIP()),
		"FirstOf":         httpmw.FirstOf(httpmw.Header("X-Api-Key"), httpmw.ClientIP()),
		"X-Forwarded-For": httpmw.ClientIP(trusted...),
		"Forwarded":       newAddress(t, httpmw.AddressConfig{TrustedProxies: trusted, Header: "Forwarded"}).Key,
		"X-Real-IP":       newAddress(t, httpmw.AddressConfig{TrustedProxies: trusted, Header: "X-Real-IP"}).Key,
	} {
		const runs = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if key, err := key(r); key == "" || err != nil {
				t.Fatalf("%s: %q, %v", name, key, err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 8<<10 { // of 1 MB
			t.Errorf("%s: %d bytes a key", name, got)
		}
	}
}
