package cluster

import "sync/atomic"

// bit reports whether the i-th of the bits in words is set. It takes no lock.
func bit(words []atomic.Uint64, i uint64) bool { return words[i/64].Load()&(1<<(i%64)) != 0 }

// setBit sets the i-th bit, or clears it. Two at once would undo what the other does.
func setBit(words []atomic.Uint64, i uint64, on bool) {
	word, mask := &words[i/64], uint64(1)<<(i%64)
	if on {
		word.Store(word.Load() | mask)
	} else {
		word.Store(word.Load() &^ mask)
	}
}
