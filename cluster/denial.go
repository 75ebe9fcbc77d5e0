package cluster

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	// denialCap is how long a refusal is repeated at most without asking again: so long
	// what was refunded or reset elsewhere may stay refused here.
	denialCap = 500 * time.Millisecond
	// returnedCap is it for rules of which what was taken is given back.
	returnedCap = 10 * time.Millisecond
)

// denial is what the holder of a key last refused. Until it said that the tokens are
// there it would refuse the same again, and all that costs more.
//
// It is a seqlock: readers take no lock, and what they find half written they take for
// nothing. entry.mu is held to write.
type denial struct {
	version   atomic.Uint32 // odd while the rest is being written
	limit     atomic.Uint32 // that refused
	until     atomic.Int64  // when to ask again; 0 is no denial
	least     atomic.Int64  // the cost that was refused
	retry     atomic.Int64  // when it can pass
	whole     atomic.Int64  // when the limit is whole again
	remaining atomic.Int64
}

// refuses reports whether n tokens are refused at now, and writes the verdict to v. For
// more than was refused before, RetryAfter is that of less.
func (d *denial) refuses(n, now int64, v *bucket.Verdict) (more int64, refused bool) {
	version := d.version.Load()
	more = n - d.least.Load()
	if now >= d.until.Load() || more < 0 {
		return 0, false
	}
	limit, retry, whole, remaining := d.limit.Load(), d.retry.Load(), d.whole.Load(), d.remaining.Load()
	if version%2 != 0 || d.version.Load() != version {
		return 0, false
	}
	v.Limit, v.Remaining = uint8(limit), remaining
	v.RetryAfter, v.ResetAfter = rest(retry, now), rest(whole, now)
	return more, true
}

// note keeps that n tokens, which were asked for at asked, have been refused. An
// earlier refusal of less says more.
//
// The refusal counts from the ask: whoever asks again just then reaches the holder
// when the tokens are there. What is shown counts from the answer, so that waiting as
// long as was said is enough.
func (d *denial) note(n, asked, now int64, v *bucket.Verdict, most time.Duration) {
	until := asked + int64(min(v.RetryAfter, most))
	if until <= now || now < d.until.Load() && (d.least.Load() < n || d.least.Load() == n && d.until.Load() >= until) {
		return
	}
	d.version.Add(1)
	d.limit.Store(uint32(v.Limit))
	d.until.Store(until)
	d.least.Store(n)
	d.retry.Store(satAdd(now, int64(v.RetryAfter)))
	d.whole.Store(satAdd(now, int64(v.ResetAfter)))
	d.remaining.Store(v.Remaining)
	d.version.Add(1)
}

// clear forgets a refusal that n tokens, which passed, give the lie.
func (d *denial) clear(n int64) {
	if d.until.Load() != 0 && n >= d.least.Load() {
		d.version.Add(1)
		d.until.Store(0)
		d.version.Add(1)
	}
}

// tells reports whether, of what a limit refuses, it can be told from here how much
// longer more has to wait: see longer. In a sliding window that depends on when the
// tokens were taken, and under several limits another may refuse for longer.
func tells(l *bucket.Limit) bool {
	return l.Algorithm == bucket.TokenBucket || l.Algorithm == bucket.LeakyBucket || l.Algorithm == bucket.FixedWindow
}

// longer is how much later than others so many more tokens can pass under a limit, as
// far as that is known from here.
func longer(l *bucket.Limit, more int64) time.Duration {
	if l.Algorithm != bucket.TokenBucket && l.Algorithm != bucket.LeakyBucket || l.Count == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(more), uint64(l.Per))
	if hi >= uint64(l.Count) {
		return bucket.Never
	}
	d, part := bits.Div64(hi, lo, uint64(l.Count))
	if part > 0 {
		d++
	}
	return time.Duration(min(d, math.MaxInt64))
}

// over reports whether nothing is refused any more.
func (d *denial) over(now int64) bool { return now >= d.until.Load() }

// rest is how long it is from now to at, which satAdd has made: the largest is never.
func rest(at, now int64) time.Duration {
	if at == math.MaxInt64 {
		return bucket.Never
	}
	return time.Duration(max(at-now, 0))
}
