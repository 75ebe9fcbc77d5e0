package httpmw_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/httpmw"
)

// with is a request with the lines of one header.
func with(name string, values ...string) *http.Request {
	return &http.Request{Header: http.Header{name: values}}
}

// noKey checks that r has no key, and that the error doesn't quote what a client
// has sent.
func noKey(t *testing.T, key httpmw.KeyFunc, r *http.Request, mention string) {
	t.Helper()
	got, err := key(r)
	if got != "" || !errors.Is(err, httpmw.ErrNoKey) {
		t.Errorf("got %q, %v", got, err)
	} else if !strings.Contains(err.Error(), mention) || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %q", err)
	}
}

func isKey(t *testing.T, key httpmw.KeyFunc, r *http.Request, want string) {
	t.Helper()
	if got, err := key(r); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestHeader(t *testing.T) {
	for _, name := range []string{"X-Api-Key", "x-api-key", "X-API-KEY"} {
		key := httpmw.Header(name)
		isKey(t, key, with("X-Api-Key", "abc", "def"), "abc")
		isKey(t, key, with("X-Api-Key", " \tAbc d "), "Abc d")
		for _, r := range []*http.Request{{}, with("X-Api-Key"), with("X-Api-Key", ""), with("X-Api-Key", " \t "), with("X-Api-Key", "", "secret")} {
			noKey(t, key, r, "X-Api-Key")
		}
	}
}

// TestCredentials: the key is neither the credential nor the same for another.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		name      string
		key       httpmw.KeyFunc
		header    string
		same      []string // one key
		different []string // each another
		none      []string
	}{
		{"bearer", httpmw.Bearer(), "Authorization",
			[]string{"Bearer secret-a", "bearer secret-a", "BEARER   secret-a  ", "Bearer \tsecret-a"},
			[]string{"Bearer secret-A", "Bearer secret-b", "Bearer secret-a=="},
			[]string{"", "Bearer", "Bearer ", "secret", "Basic secret", "Bearersecret", "Bearer secret x", "Bearer secret,Bearer x", "Bearer secret\tx"}},
		{"cookie", httpmw.Cookie("session"), "Cookie",
			[]string{"session=secret-a", `session="secret-a"`, "x=y; session=secret-a; z=1", "session=secret-a; session=secret-b"},
			[]string{"session=secret-A", "session=secret-b"},
			[]string{"", "session=", `session=""`, "Session=secret", "sessions=secret", "session"}},
		{"hashed header", httpmw.Hashed(httpmw.Header("X-Api-Key")), "X-Api-Key",
			[]string{"secret-a", " secret-a"},
			[]string{"secret-A", "secret-b", strings.Repeat("secret", 100), strings.Repeat("secret", 101)},
			[]string{"", " "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]string{}
			for i, v := range append(c.same, c.different...) {
				got, err := c.key(with(c.header, v))
				if err != nil || len(got) != 32 || strings.Trim(got, "0123456789abcdef") != "" {
					t.Errorf("%q: got %q, %v", v, got, err)
				}
				if before, ok := seen[got]; ok != (0 < i && i < len(c.same)) {
					t.Errorf("%q has the key %s, of %q", v, got, before)
				}
				seen[got] = v
			}
			for _, v := range c.none {
				noKey(t, c.key, with(c.header, v), "missing")
			}
			noKey(t, c.key, &http.Request{}, "missing")
		})
	}
}

// TestDigestStays: replicas of all versions must agree on a key, and an operator
// can look a token up by `printf %s abc | sha256sum`.
func TestDigestStays(t *testing.T) {
	isKey(t, httpmw.Bearer(), with("Authorization", "Bearer abc"), "ba7816bf8f01cfea414140de5dae2223")
}

func TestBasicUser(t *testing.T) {
	r := with("Authorization", "")
	r.SetBasicAuth("john_doe", "secret")
	isKey(t, httpmw.BasicUser(), r, "john_doe")
	r.SetBasicAuth("John Doe", "")
	isKey(t, httpmw.BasicUser(), r, "John Doe")
	r.SetBasicAuth("", "secret")
	noKey(t, httpmw.BasicUser(), r, "Basic")
	for _, v := range []string{"", "Basic", "Basic secret", "Bearer secret", "Basic c2VjcmV0"} { // the last without a colon
		noKey(t, httpmw.BasicUser(), with("Authorization", v), "Basic")
	}
}

// TestRoute asks within a mux, as a limit there would, and outside of it.
func TestRoute(t *testing.T) {
	for _, c := range []struct{ target, route, tenant string }{
		{"/tenants/A/", "GET /tenants/{tenant}/", "A"},
		{"/tenants/a%2Fb/x?y=z", "GET /tenants/{tenant}/", "a/b"},
		{"/what/else", "/", ""},
	} {
		asked := false
		ask := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked = true
			isKey(t, httpmw.Route(), r, c.route)
			if c.tenant != "" {
				isKey(t, httpmw.PathValue("tenant"), r, c.tenant)
			} else {
				noKey(t, httpmw.PathValue("tenant"), r, "path value tenant")
			}
		})
		mux := http.NewServeMux()
		mux.Handle("GET /tenants/{tenant}/", ask)
		mux.Handle("/", ask)
		if call(mux, "GET", c.target); !asked {
			t.Errorf("%s has no handler", c.target)
		}
	}
	outside := httptest.NewRequest("GET", "/tenants/a/", nil)
	noKey(t, httpmw.Route(), outside, "within the mux")
	noKey(t, httpmw.PathValue("tenant"), outside, "within the mux")
}

func TestMethod(t *testing.T) {
	for method, want := range map[string]string{
		"": "GET", "GET": "GET", "HEAD": "GET", "POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "DELETE": "DELETE",
		"OPTIONS": "OPTIONS", "TRACE": "TRACE", "CONNECT": "CONNECT", "get": "other", "FOO": "other", "FOO1": "other",
	} {
		isKey(t, httpmw.Method(), &http.Request{Method: method}, want)
	}
}

type (
	contextKey struct{}
	userID     int64
	tenant     string
	caller     struct{ name string }
)

func (u *caller) String() string { return u.name }

func TestContextValue(t *testing.T) {
	key := httpmw.ContextValue(contextKey{})
	ask := func(v any) *http.Request {
		return new(http.Request).WithContext(context.WithValue(context.Background(), contextKey{}, v))
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{"alice", "alice"}, {tenant("Acme"), "Acme"}, {userID(-7), "-7"}, {7, "7"}, {0, "0"}, {uint8(255), "255"}, {&caller{"bob"}, "bob"},
	} {
		isKey(t, key, ask(c.value), c.want)
	}
	noKey(t, key, new(http.Request), "contextKey")
	for _, v := range []any{nil, "", tenant(""), &caller{}, (*caller)(nil), (*int)(nil)} {
		noKey(t, key, ask(v), "contextKey missing")
	}
	for _, v := range []any{caller{"secret"}, []string{"secret"}, 1.5, new(int), true} {
		noKey(t, key, ask(v), "put a string")
	}
}

func TestConst(t *testing.T) { isKey(t, httpmw.Const("all"), &http.Request{}, "all") }

// TestKeyPanics: what can never work is found out when the service starts.
func TestKeyPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"Header":       func() { httpmw.Header("") },
		"Header ":      func() { httpmw.Header("X Api Key") },
		"Header:":      func() { httpmw.Header("X-Api-Key:") },
		"Cookie":       func() { httpmw.Cookie("") },
		"Cookie=":      func() { httpmw.Cookie("a=b") },
		"PathValue":    func() { httpmw.PathValue("") },
		"ContextValue": func() { httpmw.ContextValue(nil) },
		"Const":        func() { httpmw.Const("") },
		"All":          func() { httpmw.All() },
		"All of nil":   func() { httpmw.All(httpmw.Route(), nil) },
		"FirstOf":      func() { httpmw.FirstOf() },
		"FirstOf nil":  func() { httpmw.FirstOf(nil) },
		"Hashed":       func() { httpmw.Hashed(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				function, _, _ := strings.Cut(strings.TrimRight(name, " :="), " ")
				if !strings.HasPrefix(text, "httpmw: ") || !strings.Contains(text, function) {
					t.Errorf("panics with %q", text)
				}
			}()
			f()
		})
	}
}
