package httpmw

import (
	"errors"
	"strings"
)

// ErrExempt is what a key function returns for a request that is not to be
// limited: it is served, nothing is charged, and no header tells of a limit.
var ErrExempt = errors.New("httpmw: exempt")

const tokenMarks = "!#$%&'*+-.^_`|~"

// isToken says whether s can be a header's name (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(tokenMarks, c) >= 0) {
			return false
		}
	}
	return s != ""
}
