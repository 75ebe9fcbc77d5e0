package httpmw

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

var (
	// ErrNoKey is wrapped by the errors of this package's key functions for a
	// request that doesn't say on whose behalf it is made. They name what is
	// missing, and never quote what is there.
	ErrNoKey = errors.New("httpmw: no key")

	// ErrExempt is what a key function returns for a request that is not to be
	// limited: it is served, nothing is charged, and no header tells of a limit.
	// See [Exempt].
	ErrExempt = errors.New("httpmw: exempt")
)

// Header counts by the value of a header, such as the id of a user that a layer
// before has checked; a value that a client may make up is no identity, as each
// made-up one has a bucket of its own. Spaces around the value don't count,
// everything else does, upper and lower case too. Of several lines the first
// counts, which is what http.Header.Get shows to the handler.
//
// For a value that is a credential, such as an API key, see [Hashed]. The host is
// not in net/http's headers, so nothing has a key by "Host". Header panics if name
// can't be a header's.
func Header(name string) KeyFunc {
	mustToken("Header", name)
	name = http.CanonicalHeaderKey(name)
	missing := fmt.Errorf("%w: header %s missing", ErrNoKey, name)
	return func(r *http.Request) (string, error) {
		return found(trim(r.Header.Get(name)), missing)
	}
}

// Cookie counts by a digest of a cookie's value, as that mostly is a session's
// credential; see [Hashed]. The value is taken as http.Request.Cookie reads it,
// without quotes around it; of several cookies of the name the first counts. A
// client may make up a value or leave the cookie out, so count by one only what
// comes after the session has been checked. Cookie panics if name can't be a
// cookie's.
func Cookie(name string) KeyFunc {
	mustToken("Cookie", name)
	missing := fmt.Errorf("%w: cookie %s missing", ErrNoKey, name)
	return Hashed(func(r *http.Request) (string, error) {
		c, err := r.Cookie(name)
		if err != nil {
			return "", missing
		}
		return found(c.Value, missing)
	})
}

// Bearer counts by a digest of the bearer token (RFC 6750, 2.1) in the header
// Authorization, see [Hashed]. The token is not checked here, so let a layer
// before refuse tokens that nobody has issued.
func Bearer() KeyFunc {
	missing := fmt.Errorf("%w: bearer token missing", ErrNoKey)
	return Hashed(func(r *http.Request) (string, error) {
		scheme, token, _ := strings.Cut(trim(r.Header.Get("Authorization")), " ")
		token = trim(token)
		if !strings.EqualFold(scheme, "Bearer") || strings.ContainsAny(token, " \t,") {
			return "", missing
		}
		return found(token, missing)
	})
}

// BasicUser counts by the user's name of Basic authentication (RFC 7617), as it
// is. The password is neither kept nor checked: until a layer before has done that,
// anybody can spend what belongs to a name.
func BasicUser() KeyFunc {
	missing := fmt.Errorf("%w: user name of Basic authentication missing", ErrNoKey)
	return func(r *http.Request) (string, error) {
		user, _, _ := r.BasicAuth()
		return found(user, missing)
	}
}

// PathValue counts by a wildcard of the pattern that the request has matched, such
// as "tenant" of "/tenants/{tenant}/", decoded. The mux sets it, so the limit must
// be around the handler within the mux; around the mux no request has a key.
// PathValue panics if name is empty.
func PathValue(name string) KeyFunc {
	if name == "" {
		panic("httpmw: PathValue needs the name of a wildcard")
	}
	missing := fmt.Errorf("%w: path value %s missing; limit the handler within the mux, and name a wildcard of its pattern", ErrNoKey, name)
	return func(r *http.Request) (string, error) { return found(r.PathValue(name), missing) }
}

// Route counts by the pattern that the request has matched, such as
// "GET /users/{id}", never by the path, of which a client can make up as many as it
// likes. The mux sets it, so the limit must be around the handler within the mux.
func Route() KeyFunc {
	missing := fmt.Errorf("%w: no pattern; limit the handler within the mux", ErrNoKey)
	return func(r *http.Request) (string, error) { return found(r.Pattern, missing) }
}

// Method counts by the request's method. HEAD counts as GET, as it does in a mux's
// patterns, and all methods other than those of RFC 9110 and PATCH count as one,
// since a client can make up more.
func Method() KeyFunc {
	return func(r *http.Request) (string, error) {
		switch r.Method {
		case "", http.MethodGet, http.MethodHead:
			return http.MethodGet, nil
		case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
			http.MethodConnect, http.MethodOptions, http.MethodTrace:
			return r.Method, nil
		}
		return "other", nil
	}
}

// ContextValue counts by a value that a middleware before has put in the request's
// context under key: a user, a tenant, a plan. It may be a string or an integer, of
// any named type, or have a String method, which then says the key. Nil, an empty
// text and values of other types are no key.
func ContextValue(key any) KeyFunc {
	if key == nil {
		panic("httpmw: ContextValue needs a key")
	}
	missing := fmt.Errorf("%w: context value %T missing", ErrNoKey, key)
	return func(r *http.Request) (string, error) {
		v := r.Context().Value(key)
		text, ok := textOf(v)
		if !ok {
			return "", fmt.Errorf("%w: context value %T is a %T; put a string, an integer or a fmt.Stringer there", ErrNoKey, key, v)
		}
		return found(text, missing)
	}
}

// Const gives every request the same key, so that all share one bucket: "at most
// 1000/second in total". Const panics if key is empty.
func Const(key string) KeyFunc {
	if key == "" {
		panic("httpmw: Const needs a key")
	}
	return func(*http.Request) (string, error) { return key, nil }
}

// found is the result of a key function that has read key.
func found(key string, missing error) (string, error) {
	if key == "" {
		return "", missing
	}
	return key, nil
}

// textOf is v as a key; false if v is of a type that has none.
func textOf(v any) (string, bool) {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() || rv.Kind() == reflect.Pointer && rv.IsNil() {
		return "", true
	}
	if s, ok := v.(fmt.Stringer); ok {
		return s.String(), true
	}
	switch {
	case rv.Kind() == reflect.String:
		return rv.String(), true
	case rv.CanInt():
		return strconv.FormatInt(rv.Int(), 10), true
	case rv.CanUint():
		return strconv.FormatUint(rv.Uint(), 10), true
	}
	return "", false
}

// mustToken panics if name is no token (RFC 9110, 5.6.2), which the names of
// headers and cookies are.
func mustToken(function, name string) {
	if !isToken(name) {
		panic(fmt.Sprintf("httpmw: %s needs a name of letters, digits and %s, not %q", function, tokenMarks, name))
	}
}

const tokenMarks = "!#$%&'*+-.^_`|~"

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(tokenMarks, c) >= 0) {
			return false
		}
	}
	return s != ""
}

// trim takes off what RFC 9110 lets stand around a field's value or a list's
// element.
func trim(s string) string { return strings.Trim(s, " \t") }
