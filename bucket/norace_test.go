//go:build !race

package bucket

// UnderRace is explained in race_test.go.
const UnderRace = false
