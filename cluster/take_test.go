package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

func TestErrorsOfTake(t *testing.T) {
	n := start(t, Config{})
	rule := bucket.MustRule("api", "1/hour")
	done, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	check := func(ctx context.Context, rule *bucket.Rule, tokens int64, want error) {
		t.Helper()
		if d, err := n.Take(ctx, rule, "alice", tokens); !errors.Is(err, want) || d != (bucket.Decision{}) {
			t.Errorf("got %+v, %v; want %v", d, err, want)
		}
	}
	check(t.Context(), nil, 1, ErrNilRule)
	check(t.Context(), rule, -1, ErrBadCost)
	check(done, rule, 1, context.Canceled)
	check(late, rule, 1, context.DeadlineExceeded)
	check(done, nil, -1, ErrNilRule)
	if _, err := n.Take(t.Context(), rule, "alice", -7); err.Error() != "cluster: tokens must be at least 0, not -7" {
		t.Error(err)
	}
	if d, err := n.Take(t.Context(), rule, "alice", 1); err != nil || !d.Allowed {
		t.Errorf("after errors that took nothing: %+v, %v", d, err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	check(t.Context(), rule, 1, ErrClosed)
	check(done, nil, -1, ErrClosed)
}

func TestStartWithADoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := Start(ctx, Config{Bind: "127.0.0.1:0", Network: noNetwork{t}}); n != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", n, err)
	}
}

// Zero tokens ask without taking, here and at another replica.
func TestZeroTokensTakeNothing(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("api", "3/hour")
		for _, owner := range []*Node{a, b} {
			key := keyOf(owner, rule)
			for taken := range 4 {
				for range 10 {
					if d, err := a.Take(t.Context(), rule, key, 0); err != nil || !d.Allowed || d.Remaining != int64(3-taken) || d.Degraded {
						t.Fatalf("%d taken: %+v, %v", taken, d, err)
					}
				}
				if d, err := a.Take(t.Context(), rule, key, 1); err != nil || d.Allowed != (taken < 3) {
					t.Fatalf("%d taken: %+v, %v", taken, d, err)
				}
			}
		}
	})
}

// pair runs a test on two replicas that know each other.
func pair(t *testing.T, f func(t *testing.T, net *simnet.Net, a, b *Node)) {
	t.Helper()
	bubble(t, func(t *testing.T, net *simnet.Net) {
		a, b := start(t, on(net, "10.0.0.1", "a")), start(t, on(net, "10.0.0.2", "b"))
		eventually(t, 2*time.Second, "both are ready", func() bool {
			return a.memberNames() == "a b" && b.memberNames() == "a b" && a.Ready() && b.Ready()
		})
		f(t, net, a, b)
	})
}

// keyOf returns a key that a node owns.
func keyOf(n *Node, rule *bucket.Rule) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("key ", i); n.Owner(rule, key) == n.Name() {
			return key
		}
	}
}

// A call to a silent owner returns when HitTimeout or the context says so, less
// the 2 ms and the millisecond by which deadlines are told apart, whichever is
// first. The bubble's clock is exact.
func TestHowLongTakeWaits(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct{ deadline, least, most time.Duration }{
		{0, 47 * ms, 48 * ms},
		{time.Hour, 47 * ms, 48 * ms},
		{50 * ms, 47 * ms, 48 * ms},
		{20 * ms, 17 * ms, 18 * ms},
		{5 * ms, 2 * ms, 3 * ms},
		{2 * ms, 0, 0},
		{1, 0, 0},
	} {
		t.Run(tt.deadline.String(), func(t *testing.T) {
			pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
				rule := bucket.MustRule("api", "1000/hour")
				key := keyOf(b, rule)
				net.Host("10.0.0.2").Crash()
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
				}
				defer cancel()
				began := time.Now()
				d, err := a.Take(ctx, rule, key, 1)
				took := time.Since(began)
				if err != nil || !d.Degraded || !d.Allowed || took < tt.least || took > tt.most {
					t.Errorf("%+v, %v after %v, want %v to %v", d, err, took, tt.least, tt.most)
				}
			})
		})
	}
}

// Where the owner answers in time, a short deadline is no obstacle.
func TestAShortDeadlineThatSuffices(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("api", "1000/hour")
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		began := time.Now()
		d, err := a.Take(ctx, rule, keyOf(b, rule), 1)
		if took := time.Since(began); err != nil || d.Degraded || !d.Allowed || took != 2*simnet.DefaultLatency {
			t.Errorf("%+v, %v after %v", d, err, took)
		}
	})
}

func TestFailurePolicies(t *testing.T) {
	n := start(t, Config{})
	const now, members = int64(time.Hour), 4
	hit := func(limits string, tokens int64, opts ...bucket.RuleOption) *transport.Hit {
		r := bucket.MustRule("api", limits, opts...)
		return &transport.Hit{Rule: r, Digest: n.store.Digest(r, "alice"), Tokens: tokens}
	}
	allow := hit("5/minute; 9/hour", 1000, bucket.WithFailurePolicy(bucket.Allow))
	deny := hit("1000/minute", 0, bucket.WithFailurePolicy(bucket.Deny))
	for range 10 {
		if v := n.degrade(allow, false, now, members); v != (bucket.Verdict{Allowed: true, Degraded: true, Remaining: 5}) {
			t.Errorf("allow: %+v", v)
		}
		if v := n.degrade(deny, false, now, members); v != (bucket.Verdict{Degraded: true, RetryAfter: time.Second}) {
			t.Errorf("deny: %+v", v)
		}
	}
	// A share is a fourth: 10 at once and 10 a minute, one every 6 s.
	share := hit("40/minute", 1)
	for i := range 12 {
		v := n.degrade(share, false, now, members)
		if want := i < 10; v.Allowed != want || !v.Degraded || !want && v.RetryAfter != 6*time.Second {
			t.Errorf("share, call %d: %+v", i, v)
		}
	}
	if v := n.degrade(share, false, now+int64(6*time.Second), members); !v.Allowed {
		t.Errorf("share, 6 s later: %+v", v)
	}
	// What was taken from shares is not taken from the limit itself.
	if v := answered(n, share, now).Verdict; !v.Allowed || v.Degraded || v.Remaining != 39 {
		t.Errorf("as the owner: %+v", v)
	}
	// Nobody's share is less than one token.
	few := hit("2/minute", 1)
	few.Digest.Lo++
	if v := n.degrade(few, false, now, 100); !v.Allowed {
		t.Errorf("a small share: %+v", v)
	}
	if v := n.degrade(few, false, now, 100); v.Allowed || v.RetryAfter != 50*time.Minute {
		t.Errorf("a small share, used: %+v", v)
	}
}
