package dashboard

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
	"github.com/shoal-dev/shoal/cmd/demo/internal/pace"
)

// drive is a load: it asks all replicas in turn, as their middleware does, and checks
// what they admit.
type drive struct {
	number    int64
	plan      pace.Plan
	limit     bucket.Limit
	rule      *bucket.Rule
	keys      []string
	zipf      *pace.Zipf
	line      float64 // what passes per second, in the long run
	ledger    *exact.Ledger
	guarantee *guarantee
	denied    *pace.Top
	latency   pace.Latency
	lately    recent

	began  time.Duration
	ended  atomic.Int64 // 0 while it runs
	cancel context.CancelFunc

	sent, admitted, refused, failed, lost, dropped atomic.Int64
}

// roomForDenied is how many keys are counted at a time, to show the most denied.
const roomForDenied = 512

func newDrive(number int64, p pace.Plan, limit bucket.Limit, bound exact.Bound, now time.Duration) (*drive, error) {
	// A rule of its own, so that each load begins with full buckets.
	rule, err := bucket.NewRule("panel "+strconv.FormatInt(number, 10), []bucket.Limit{limit})
	if err != nil {
		return nil, err
	}
	v := &drive{
		number: number, plan: p, limit: limit, rule: rule, began: now,
		zipf:      pace.NewZipf(p.Keys, p.Skew),
		ledger:    exact.NewLedger([]exact.Bound{bound}, p.Keys),
		guarantee: newGuarantee(bound, p.Keys),
		denied:    pace.NewTop(roomForDenied),
		keys:      make([]string, p.Keys),
	}
	for i := range v.keys {
		v.keys[i] = "user-" + strconv.Itoa(i+1)
	}
	v.line = v.zipf.Line(p.Rate, float64(limit.Count)/limit.Per.Seconds())
	return v, nil
}

// drives sends the load to whoever lives, until its end.
func (d *Dashboard) drives(ctx context.Context, v *drive) {
	dropped := pace.Run(ctx, v.plan, func(i int64, due time.Time) {
		replicas := *d.replicas.Load()
		for range replicas {
			if r := &replicas[i%int64(len(replicas))]; !r.Leaving && !r.Killed() {
				d.ask(v, r, due)
				return
			}
			i++
		}
	})
	v.dropped.Add(dropped)
	v.ended.Store(int64(d.since()))
}

// ask makes one call at a replica.
func (d *Dashboard) ask(v *drive, r *Replica, due time.Time) {
	key := v.zipf.Key()
	asked := d.since()
	decision, err := r.Node.Take(context.Background(), v.rule, v.keys[key], 1)
	answered := d.since()
	v.sent.Add(1)
	switch {
	case r.Killed(): // and its answer with it
		v.lost.Add(1)
		return
	case err != nil:
		v.failed.Add(1)
		return
	case decision.Allowed:
		v.admitted.Add(1)
		v.lately.add(answered.Milliseconds())
		v.ledger.Admit(key, int64(asked), int64(answered))
		if decision.Degraded {
			v.guarantee.degraded(answered)
		}
	default:
		v.refused.Add(1)
		v.denied.Add(key)
	}
	v.latency.Add(time.Since(due))
}

// running reports whether calls are still made.
func (v *drive) running() bool { return v.ended.Load() == 0 }
