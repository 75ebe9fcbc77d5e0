// Package hosts runs Shoal on real processes, each in a network namespace of its
// own, breaks them and the network between them, and checks what was promised.
//
// The suite needs Linux, root, and the commands ip (iproute2) and nft (nftables),
// and takes about four minutes. So it runs only when asked, by
//
//	SHOAL_HOSTS=1 go test -count=1 -v -timeout 10m ./test/hosts -figures figures.md
//
// and is skipped, with the reason, where it can't run. SHOAL_HOSTS=required makes
// that a failure; .ci/hosts does so. -figures names a file for the table of figures
// that stands in docs/guarantees.md. A plain `go test ./...` runs only the tests of the
// checker.
//
// A lab is a bridge in one namespace and a host, which is a namespace with one
// cable to it, per replica. The names bear the run's id, traffic never leaves them,
// and each run removes what a killed one has left. A replica is this very test
// program, started again with its order in the environment: it embeds a
// cluster.Node and takes commands as lines of JSON on its standard input, so
// control needs no network. It ends when the input does.
//
// Each replica keeps a journal of its calls in a file that is mapped into memory:
// what it wrote is there however it ends, kill -9 included. The times in it are
// CLOCK_MONOTONIC, which is the same for all processes of a machine and knows no
// steps. Afterwards the checker (check.go) holds all journals together against the
// limits. It takes a call for an interval within which the decision was made, and
// claims a fault only when no choice of instants explains what was answered, so it
// has no false alarms.
//
// What depends on the machine's speed is measured, not assumed: a replica journals
// whenever it was not scheduled in time, and a call's lateness is counted only
// beyond that.
package hosts

import "time"

// outcome is how one call of Take ended.
type outcome uint8

const (
	open outcome = iota // the process was killed before it knew
	allowed
	refused
	failed // with an error
	void   // not asked, since the node was closed; kept out of histories
)

func (o outcome) String() string {
	return [...]string{"open", "allowed", "refused", "failed", "void"}[o]
}

// call is one call of Take for one token. Its times are nanoseconds of
// CLOCK_MONOTONIC; the decision was made between them.
type call struct {
	at, end  int64
	key      int
	outcome  outcome
	degraded bool
	by       int // number of the process that asked
}

// span is a time from one instant to another.
type span struct{ from, to int64 }

// history is what one process has done and suffered.
type history struct {
	calls  []call
	stalls []span // during which it was ready to run and did not
}

// limit is a token bucket: burst tokens and count per per.
type limit struct {
	count int64
	per   time.Duration
	burst int64
}

// over is how many tokens may pass in t beyond the burst, rounded up.
func (l limit) over(t time.Duration) int64 {
	return ceil(int64(t)*l.count, int64(l.per))
}

// within is how many tokens may pass in any interval of length t.
func (l limit) within(t time.Duration) int64 { return l.burst + l.over(t) }

// ceil is a/b rounded up; b is positive.
func ceil(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}
