//go:build race

package bucket

// UnderRace scales the long tests down: the race detector makes them some ten
// times slower, and what it looks for is in the concurrent ones.
const UnderRace = true
