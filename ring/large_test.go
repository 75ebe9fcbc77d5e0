//go:build !race

package ring

import "testing"

// The race detector makes the library's sorting twenty times slower, seconds for
// the largest table, and would find nothing: a build has one goroutine.
func TestLargeTables(t *testing.T) {
	t.Parallel()
	for _, n := range []int{80, 100, 160, 200, 320, 499, MaxMembers} {
		checkBalance(t, n)
	}
}
