package bucket_test

import (
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// pair is two replicas of which one, small, has no room left for keys of the rule.
type pair struct {
	t            *testing.T
	rule         *bucket.Rule
	large, small *bucket.Store
}

func newPair(t *testing.T, limits string) *pair {
	p := &pair{t, bucket.MustRule("r", limits), newStore(), smallest(8)}
	p.fill(0)
	return p
}

// fill takes what room there is, for long.
func (p *pair) fill(now int64) {
	filler, before := bucket.MustRule("filler", "1/month"), p.small.Stats().Overflowed
	for i := uint64(1 << 20); p.small.Stats().Overflowed == before; i++ {
		p.small.TakeDigest(filler, bucket.Digest{Hi: crowdPartition<<52 | i, Lo: i * 0x9e3779b97f4a7c15}, 1, now)
	}
}

func (p *pair) take(s *bucket.Store, key, n, now int64, want bool) {
	p.t.Helper()
	d := bucket.Digest{Hi: crowdPartition<<52 | uint64(key), Lo: uint64(key)}
	if v := s.TakeDigest(p.rule, d, n, now); v.Allowed != want || v.Degraded {
		p.t.Errorf("%d of key %d at %d: %+v, want %t", n, key, now, v, want)
	}
}

func (p *pair) move(from, to *bucket.Store, now int64) {
	p.t.Helper()
	b, _ := from.AppendCopy(nil, crowdPartition, now)
	if err := to.Merge(crowdPartition, b, now); err != nil {
		p.t.Fatal(err)
	}
}

// A key that joins a window in its middle doesn't get the next one too soon.
func TestSharedWindowsAreProlonged(t *testing.T) {
	p := newPair(t, "3/second fixed")
	second := int64(time.Second)
	s := smallest(8)
	p.small = s
	p.take(s, 1, 1, second, true)
	p.take(s, 1, 2, 2*second-1, true) // at the end of its window
	p.fill(2*second - 2)
	p.take(s, 2, 1, 2*second-2, true) // a stranger opens another
	s.Sweep(2*second, 1<<20)
	s.Sweep(2*second, 1<<20)
	p.fill(2 * second)
	p.take(s, 1, 2, 2*second+1, true)
	p.take(s, 1, 3, 3*second-1, false)
	p.take(s, 1, 3, 3*second+1, true)
}

// An entry that was full when the overflow's came doesn't say what its key shared.
func TestFullCopiesAreBehind(t *testing.T) {
	p := newPair(t, "2/hour")
	hour := int64(time.Hour)
	p.take(p.large, 1, 2, 1, true)
	p.move(p.large, p.small, hour+1)
	p.take(p.small, 1, 2, hour+1, true)
	p.move(p.small, p.large, hour+2)
	p.take(p.large, 1, 1, hour+3, false)
}

// A live entry of a key that was folded elsewhere doesn't either.
func TestCopiesOfFoldedKeysAreBehind(t *testing.T) {
	for _, words := range []string{"", " leaky", " fixed", " sliding", " log"} {
		p := newPair(t, "2/hour"+words)
		p.take(p.large, 1, 1, 1, true)
		p.move(p.large, p.small, 2)
		p.take(p.small, 1, 1, 3, true)
		p.take(p.small, 1, 1, 4, false)
		p.move(p.small, p.large, 5)
		p.take(p.large, 1, 1, 6, false)
	}
}

// And it goes on to be behind for as long as what was shared isn't whole again.
func TestFoldedKeysAreRemembered(t *testing.T) {
	p := newPair(t, "2/hour")
	minute := int64(time.Minute)
	p.take(p.large, 1, 1, 1, true)
	p.move(p.large, p.small, 2)
	p.take(p.small, 1, 1, minute, true)
	p.move(p.small, p.large, minute) // and then it crashes
	p.take(p.large, 1, 2, 35*minute, false)
	p.take(p.large, 1, 1, 35*minute, true)
}

// A window that is folded counts, whatever the number of the overflow's.
func TestFoldedWindowsCount(t *testing.T) {
	for _, words := range []string{" fixed", " sliding"} {
		p := newPair(t, "3/second"+words)
		now := int64(1)
		for range 5 {
			p.take(p.large, 9, 1, now, true) // the overflow's window is its sixth,
			now += int64(3 * time.Second)
		}
		p.take(p.large, 9, 1, now, true)
		p.move(p.large, p.small, now+1)
		p.take(p.large, 1, 3, now, true) // and this one the first
		p.move(p.large, p.small, now+1)
		p.take(p.small, 1, 1, now+2, false)
	}
}
