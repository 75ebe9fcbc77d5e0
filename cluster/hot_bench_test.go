package cluster

import (
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// BenchmarkHotKey is a decision of Take about one key: by its token, which is here; by
// what was lent of it; and by what was refused. All of them have the digest, the clock
// and the counts.
func BenchmarkHotKey(b *testing.B) {
	rule := bucket.MustRule("api", "1000000000/second")
	for _, how := range []struct {
		name string
		key  func(n *Node, k *hotKey)
		want Path
	}{
		{"local", nil, PathLocal},
		{"leased", func(_ *Node, k *hotKey) {
			l := newLease(rule, 0)
			l.tokens.Store(1 << 60)
			l.expires.Store(1 << 62)
			k.lease.Store(l)
		}, PathLeased},
		{"denied", func(_ *Node, k *hotKey) {
			k.denial.until.Store(1 << 62)
			k.denial.least.Store(1)
		}, PathDenied},
	} {
		b.Run(how.name, func(b *testing.B) {
			n, err := Start(b.Context(), Config{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = n.Close(b.Context()) })
			if how.key != nil { // nobody looks after it, as this node stands alone
				how.key(n, n.hot.of(n.store.Digest(rule, "alice"), rule))
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = n.Take(b.Context(), rule, "alice", 1)
				}
			})
			for _, d := range n.Metrics().Decisions {
				if d.Path != how.want {
					b.Errorf("%+v", d)
				}
			}
		})
	}
}

// Neither path allocates.
func TestHotKeysAllocateNothing(t *testing.T) {
	rule := bucket.MustRule("api", "1000/second")
	table := newHotKeys()
	leased, denied := question{digest: bucket.Digest{Lo: 1}, rule: rule, tokens: 1}, question{digest: bucket.Digest{Lo: 3}, rule: rule, tokens: 1}
	l := newLease(rule, 0)
	l.tokens.Store(1 << 60)
	l.expires.Store(1 << 62)
	table.of(leased.digest, rule).lease.Store(l)
	table.of(denied.digest, rule).denial.until.Store(1 << 62)
	var v bucket.Verdict
	if n := testing.AllocsPerRun(100, func() {
		for _, q := range []*question{&leased, &denied} {
			if _, ok := table.decide(table.find(q.digest), q, 1, &v); !ok {
				t.Error("not decided")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
