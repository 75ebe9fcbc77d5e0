package grpcmw

import (
	"context"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// open is a limiter that lets everything pass.
type open struct{}

func (open) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision{Allowed: true}, nil
}

// A call that has nothing to give back at its end pays for no precaution against what
// may happen then.
func TestEnteringAllocatesNothing(t *testing.T) {
	g, err := newGuard(open{}, bucket.MustRule("api", "5/hour"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if leave, _, err := g.enter(ctx, "alice", 1); err == nil {
			leave()
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
