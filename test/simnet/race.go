//go:build race

package simnet

import "runtime"

// Under the race detector, programs that import this package run on one P. On several,
// Go 1.26 crashes in bubbles like ours (SIGSEGV in (*timer).maybeRunChan, or
// "ThreadSanitizer: CHECK failed"): a bubble has one race context for its timers, and
// two goroutines that find a tick waiting in a channel use it at once. memberlist's
// tickers do that. The detector looks at order, not at simultaneity, so it finds
// the same races. An explicit -cpu flag wins. See https://go.dev/issue/78156; delete
// this file when that is fixed.
func init() { runtime.GOMAXPROCS(1) }
