// Package bucket is the arithmetic and the memory of a rate limiter: what a
// limit means, how a hit is decided, and where the state of the keys is kept.
// It knows no clock, no network and no goroutine.
//
// A [Limit] says "at most Count per Per". A [Rule] is a name and one to eight
// limits that are charged together, all or nothing. A [Store] holds the state
// of every key under every rule and decides hits:
//
//	rule := bucket.MustRule("login", "5/second; 100/hour")
//	store := bucket.NewStore(bucket.StoreConfig{})
//	decision := store.Take(rule, "alice", 1, now)
//
// In words, for [ParseRule], a limit is "10/minute" or "10 per 3 hours", followed by
// how to count: nothing or "burst 20" for a token bucket, "leaky", "fixed", "fixed
// aligned", "calendar in Europe/Berlin", "sliding", "log". "daily = 1000/day" has a
// name. Between separators there may be "penalty 20/hour", which counts refusals,
// "policy deny" for when the state's holder is silent, and "mode shadow" to try a
// rule out. "2 concurrent" limits what runs at a time, alone in its rule.
//
// What was taken can be given back by its [Receipt], looked at by Store.Peek without
// taking, and forgotten by Store.Reset.
//
// Everything follows from three ideas.
//
// A state is a small value and an algorithm is a pure function of it:
// (state, limit, now, n) gives the next state and a verdict. The token bucket
// is the generic cell rate algorithm (GCRA, ITU-T I.371 Annex A; the leaky
// bucket as a meter of Turner 1986): the whole state is one point in time, the
// theoretical arrival time, at which the bucket will be full again. It is kept
// as nanoseconds and an exact fraction of one, so a limit of 7 per second or of
// a billion per second neither drifts nor rounds.
//
// The windows keep two or three numbers in the same space, of which one is the
// number of the window: that, never its time, tells windows apart. A sliding log
// keeps every token's time, in blocks beside the states.
//
// States merge: of two copies of a GCRA state the later one wins, of two windows
// the newer, of two counts of one window the larger, of two logs, newest first,
// the later time of each pair; whatever their order and however often they meet.
//
// A full bucket is no bucket: it says nothing that an absent one doesn't. So
// only full buckets are ever dropped, and dropping them loses nothing.
//
// That bounds the memory as well (StoreConfig.MaxBytes). Where there is no room and
// nothing full to drop, a key that is new has no entry of its own but shares one, an
// overflow entry, with all new keys of its partition and limit. Of whatever a key
// without an entry has taken the overflow entry knows, for it was charged with that
// and more. So a key that gets an entry, when there is room again, starts as the
// overflow's copy; a state that comes from elsewhere and finds no room is merged into
// the overflow's; and as that is an ordinary entry it moves and merges with its
// partition, wherever keys had entries and wherever they shared. Keys that share can be
// refused too early; nobody is admitted too much, and keys that have an entry notice
// nothing. The file overflow.go has the whole argument.
//
// Tokens of a key that others hit often can be lent to them: see [Ask]. They are
// debited when they are lent, and while they are out the key holds so many less; so
// whatever becomes of them, no interval sees more than the limit.
//
// Time is an argument everywhere: now is the nanoseconds that a monotonic clock
// of the caller's choice has counted, from 0 to below 1<<62 (146 years). Every
// value that a caller hands over is either an int64 count of tokens or such a
// time; there are no floating-point numbers.
package bucket

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Algorithm says how a limit counts. The zero value is TokenBucket.
type Algorithm uint8

const (
	// TokenBucket holds up to Burst tokens and refills continuously at Count per
	// Per. In every interval of length t at most Burst + t·Count/Per pass.
	TokenBucket Algorithm = iota
	// LeakyBucket is a queue of up to Burst tokens that leaks at Count per Per.
	// It shapes: a request is allowed if there is room, with the Delay until its
	// turn, so what goes on does so evenly, one token each Per/Count.
	LeakyBucket
	// FixedWindow admits Count in a window of length Per, which begins with its
	// first hit, or where Aligned says. Around the end of a window up to twice
	// Count can pass within Per.
	FixedWindow
	// SlidingWindow counts the current window and, of the one before, the share
	// that the last Per still covers, as if its hits had come evenly, in whole
	// tokens. At most Count in each window, and close to it in any interval of
	// length Per; a client that comes at exactly that rate isn't refused. Windows
	// follow each other from the first hit on, as with limits' Redis storage, or,
	// Aligned, as the clock has them, as with its storage in memory.
	SlidingWindow
	// SlidingLog remembers when each token was taken, for Per: never more than
	// Count in any half-open interval of length Per, a token being free again
	// exactly Per after it was taken. It is for small counts: 1024 at most, and 8 to
	// 32 bytes for each token taken within Per.
	SlidingLog
	// Concurrent isn't about a rate: at most Count requests run at a time. It is
	// the only limit of its rule, which no Store decides; see Rule.Concurrent.
	Concurrent
)

// The lengths of the units in rate strings; with Calendar they stand for the
// calendar's own.
const (
	Day   = 24 * time.Hour
	Week  = 7 * Day
	Month = 30 * Day
	Year  = 360 * Day
)

// String returns the word for the algorithm in rate strings.
func (a Algorithm) String() string {
	if int(a) < len(algorithmWords) {
		return algorithmWords[a]
	}
	return "algorithm " + strconv.Itoa(int(a))
}

var algorithmWords = [...]string{TokenBucket: "token", LeakyBucket: "leaky", FixedWindow: "fixed", SlidingWindow: "sliding", SlidingLog: "log", Concurrent: "concurrent"}

// windows is how many windows a state reaches over; 0 for those that have none.
func (a Algorithm) windows() int64 {
	switch a {
	case FixedWindow, SlidingLog:
		return 1
	case SlidingWindow:
		return 2
	}
	return 0
}

func (n *numbers) windowed() bool { return n.algorithm.windows() > 0 }

// maxFill is the longest time, in nanoseconds, that an empty bucket may take to
// become full: 146 years. With now below the same bound no sum overflows.
const maxFill = 1 << 62

// maxName bounds the names of limits, which travel in HTTP headers.
const maxName = 64

// Limit is "at most Count per Per". It is a plain value; what is wrong with one
// is reported by NewRule.
type Limit struct {
	// Name is shown in headers, and makes the limit's state its own whatever
	// its place in the rule. Printable ASCII, at most 64 bytes. "" stands for
	// the canonical text, as "10 per 1 minute".
	Name string
	// Algorithm says how the limit counts.
	Algorithm Algorithm
	// Count is the number of tokens that come back in each Per, at least 0.
	// A limit of 0 refuses everything. Where it is Concurrent, Count is how many
	// may run at a time, and the only field besides Name.
	Count int64
	// Per is the window, at least one nanosecond.
	Per time.Duration
	// Burst is the capacity in tokens: what an idle key may take at once.
	// 0 means Count. Burst·Per/Count may be 146 years at most.
	// Only a TokenBucket or LeakyBucket has one.
	Burst int64
	// Aligned makes the windows of a FixedWindow or SlidingWindow begin at
	// multiples of Per since the Unix epoch, as clocks on the wall have them.
	Aligned bool
	// Calendar makes the windows of a FixedWindow those of the calendar in Zone:
	// days from midnight to midnight where Per is Day, weeks from Monday where it
	// is Week, months and years where it is Month or Year, whatever their length.
	Calendar bool
	// Zone is the time zone of a Calendar by its IANA name, as "Europe/Berlin".
	// "" is UTC. Replicas need the same time zone database: the system's, Go's or
	// that of package time/tzdata.
	Zone string
}

// String returns the limit's name, or its canonical text where it has none.
func (l Limit) String() string {
	if l.Name != "" {
		return l.Name
	}
	return l.text()
}

// Capacity returns the number of tokens that an idle key may take at once:
// Burst, or Count where Burst is 0, and always 0 where Count is 0.
func (l Limit) Capacity() int64 {
	if l.Burst == 0 || l.Count == 0 {
		return l.Count
	}
	return l.Burst
}

// text is the canonical form, in the words of the rate strings.
func (l Limit) text() string {
	if l.Algorithm == Concurrent {
		return strconv.FormatInt(l.Count, 10) + " " + l.Algorithm.String()
	}
	b := l.appendRate(make([]byte, 0, 40))
	if l.Algorithm != TokenBucket && !(l.Algorithm == FixedWindow && l.Calendar) {
		b = append(append(b, ' '), l.Algorithm.String()...)
	}
	if l.Aligned {
		b = append(b, " aligned"...)
	}
	b = l.appendCalendar(b)
	if l.Burst != 0 && l.Burst != l.Count {
		b = strconv.AppendInt(append(b, " burst "...), l.Burst, 10)
	}
	return string(b)
}

// appendRate counts the window in the largest unit that divides it.
func (l Limit) appendRate(b []byte) []byte {
	b = strconv.AppendInt(b, l.Count, 10)
	b = append(b, " per "...)
	for i := len(units) - 1; i >= 0; i-- {
		if u := units[i]; l.Per > 0 && l.Per%u.length == 0 && (u.length != Week || l.Calendar) {
			b = strconv.AppendInt(b, int64(l.Per/u.length), 10)
			return append(append(b, ' '), u.name...)
		}
	}
	return append(b, strings.ReplaceAll(l.Per.String(), "µ", "u")...) // for headers, in ASCII
}

// validate reports everything that is wrong with the limit.
func (l Limit) validate() error {
	var errs []error
	if l.Algorithm > Concurrent {
		errs = append(errs, fmt.Errorf("field Algorithm is %d; choose TokenBucket, LeakyBucket, FixedWindow, SlidingWindow, SlidingLog or Concurrent", l.Algorithm))
	}
	if l.Count < 0 {
		errs = append(errs, fmt.Errorf("field Count is %d; it must be at least 0, which refuses everything", l.Count))
	}
	if len(l.Name) > maxName || !isPrintableASCII(l.Name) {
		errs = append(errs, fmt.Errorf("field Name %q must be printable ASCII of at most %d bytes, as it is sent in headers", l.Name, maxName))
	}
	if l.Algorithm == Concurrent {
		errs = append(errs, l.validateConcurrent())
	} else {
		errs = append(errs, l.validateRate(), l.validateCalendar())
	}
	return errors.Join(errs...)
}

// validateRate reports what is wrong with the rate, and how it is counted.
func (l Limit) validateRate() error {
	var errs []error
	windows := l.Algorithm.windows()
	if windows > 0 && l.Burst != 0 && l.Burst != l.Count {
		errs = append(errs, fmt.Errorf("field Burst is %d; a %s window holds Count, so leave it 0", l.Burst, l.Algorithm))
	}
	if l.Aligned && l.Algorithm != FixedWindow && l.Algorithm != SlidingWindow {
		errs = append(errs, errors.New("field Aligned is set; only a FixedWindow or SlidingWindow has windows to align"))
	}
	if windows > 0 && int64(l.Per) > maxFill/windows {
		errs = append(errs, fmt.Errorf("field Per is %v; windows reach over 146 years at most", l.Per))
	}
	if l.Algorithm == SlidingWindow && l.Count > maxSliding {
		errs = append(errs, fmt.Errorf("field Count is %d; a SlidingWindow counts to %d", l.Count, int64(maxSliding)))
	}
	if l.Algorithm == SlidingLog && l.Count > maxLog {
		errs = append(errs, fmt.Errorf("field Count is %d; a SlidingLog remembers each of up to %d, so choose a SlidingWindow", l.Count, maxLog))
	}
	if l.Per <= 0 {
		errs = append(errs, fmt.Errorf("field Per is %v; it must be above 0", l.Per))
	}
	if l.Burst < 0 {
		errs = append(errs, fmt.Errorf("field Burst is %d; it must be at least 1, or 0 for Count", l.Burst))
	}
	if len(errs) == 0 && windows == 0 && l.Count > 0 && !l.fillsInTime() {
		errs = append(errs, fmt.Errorf("a burst of %d at %s takes over 146 years to come back; lower Burst or Per", l.Capacity(), l.appendRate(nil)))
	}
	return errors.Join(errs...)
}

// fillsInTime reports whether Capacity·Per/Count is at most maxFill.
func (l Limit) fillsInTime() bool {
	hi, lo := bits.Mul64(uint64(l.Capacity()), uint64(l.Per))
	maxHi, maxLo := bits.Mul64(uint64(l.Count), maxFill)
	return hi < maxHi || hi == maxHi && lo <= maxLo
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
