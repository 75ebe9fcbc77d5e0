package httpmw

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// maxKey is how many bytes of text a combined key may have; longer ones become
// digests, so that no client makes the service copy what it likes.
const maxKey = 256

// All counts by all of these together: All(Route(), ClientIP()) gives each client a
// bucket for each route. Two requests have the same key only if each function gives
// both the same. A request that has no key by one of them has none, and one that is
// exempt by one of them is exempt. The functions are called in order, up to the
// first that fails.
//
// The key is "GET /users/{id}|203.0.113.7", with "\" before each "|" and "\" of its
// parts; a digest if that were longer than 256 bytes. All panics if there is no
// function or one is nil.
func All(keys ...KeyFunc) KeyFunc {
	keys = mustKeys("All", keys)
	if len(keys) == 1 {
		return keys[0]
	}
	return func(r *http.Request) (string, error) {
		parts := make([]string, len(keys))
		for i, key := range keys {
			var err error
			if parts[i], err = keyOf(key, r); err != nil {
				return "", err
			}
		}
		return join(parts), nil
	}
}

// FirstOf counts by the first of these that has a key for the request, so it says
// what becomes of requests that the first has none for:
//
//	FirstOf(Header("X-User"), ClientIP()) // count them by address
//	FirstOf(Header("X-User"), Const("?")) // let them share one bucket
//	FirstOf(Header("X-User"), Exempt())   // don't limit them
//	Header("X-User")                      // refuse them
//
// Whatever error a function returns, the next is asked; only [ErrExempt] is
// final. If none has a key, the error is the last one's.
//
// The key is that of the function after its place, as in "1:203.0.113.7": a client
// that writes somebody's address in the header doesn't get at the address's bucket.
// It is a digest if it were longer than 256 bytes. FirstOf panics if there is no
// function or one is nil.
func FirstOf(keys ...KeyFunc) KeyFunc {
	keys = mustKeys("FirstOf", keys)
	return func(r *http.Request) (text string, err error) {
		for i, key := range keys {
			text, err = keyOf(key, r)
			if err == nil {
				return place(i, text), nil
			}
			if errors.Is(err, ErrExempt) {
				break
			}
		}
		return "", err
	}
}

// Exempt exempts the request from the limit: its error is [ErrExempt]. By itself
// it limits nothing; it is for the end of [FirstOf].
func Exempt() KeyFunc {
	return func(*http.Request) (string, error) { return "", ErrExempt }
}

// Hashed counts by a digest of the key: 128 bits of its SHA-256, in hexadecimal.
// It is for credentials. What a limiter is asked about may be listed for its
// operators, and whoever reads an API key there could use it. The digest of what
// can be guessed, such as a name, can be guessed too. Hashed panics if key is nil.
func Hashed(key KeyFunc) KeyFunc {
	key = mustKeys("Hashed", []KeyFunc{key})[0]
	return func(r *http.Request) (string, error) {
		text, err := keyOf(key, r)
		if err != nil {
			return "", err
		}
		return digest(text), nil
	}
}

// keyOf calls key; an empty key is an error.
func keyOf(key KeyFunc, r *http.Request) (string, error) {
	text, err := key(r)
	if err == nil && text == "" {
		err = fmt.Errorf("%w: empty", ErrNoKey)
	}
	return text, err
}

// join makes one text of at least two; other texts make another. A digest has no
// "|" of its own, so it is none of the joined ones.
func join(parts []string) string {
	n := len(parts) - 1
	for _, p := range parts {
		n += len(p) + strings.Count(p, "|") + strings.Count(p, `\`)
	}
	if n > maxKey {
		return digest(parts...)
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			b = append(b, '|')
		}
		for _, c := range []byte(p) {
			if c == '|' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
	}
	return string(b)
}

// place is the key text of the function at place i.
func place(i int, text string) string {
	n := strconv.Itoa(i)
	if len(n)+1+len(text) > maxKey {
		return n + "#" + digest(text)
	}
	return n + ":" + text
}

// digest is that of a text, or of several, each after its length. It copies no more
// than a block at a time, however long they are.
func digest(texts ...string) string {
	h := sha256.New()
	var block [sha256.BlockSize]byte
	for _, s := range texts {
		if len(texts) > 1 {
			h.Write(binary.BigEndian.AppendUint64(block[:0], uint64(len(s))))
		}
		for len(s) > 0 {
			n := copy(block[:], s)
			h.Write(block[:n])
			s = s[n:]
		}
	}
	return hex.EncodeToString(h.Sum(block[:0])[:16])
}

// mustKeys panics unless there are keys, and none is nil; the copy is the
// caller's.
func mustKeys(function string, keys []KeyFunc) []KeyFunc {
	if len(keys) == 0 {
		panic("httpmw: " + function + " needs a key function")
	}
	for i, key := range keys {
		if key == nil {
			panic(fmt.Sprintf("httpmw: key function %d of %s is nil", i, function))
		}
	}
	return append([]KeyFunc(nil), keys...)
}
