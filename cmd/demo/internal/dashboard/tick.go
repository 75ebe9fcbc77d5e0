package dashboard

import (
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// snapshot is what the page shows, but for the wheels and the diary. What is counted is
// counted since the start, so that nothing is lost with a snapshot that was left out.
type snapshot struct {
	Time     int64           `json:"t"` // milliseconds since the start
	Replicas []replicaStatus `json:"replicas"`
	Split    bool            `json:"split"`
	Load     *loadStatus     `json:"load"` // the latest; null before the first
	Denied   []denied        `json:"denied"`
	Paths    paths           `json:"paths"`
}

type replicaStatus struct {
	Number   int    `json:"number"`
	Name     string `json:"name"`
	Address  string `json:"address"`
	Side     int    `json:"side"`
	State    string `json:"state"` // ready, joining, leaving
	Held     int    `json:"held"`
	Moving   int    `json:"moving"`
	Members  int    `json:"members"`
	Admitted int64  `json:"admitted"`
	Refused  int64  `json:"refused"`
}

// paths says how decisions came about.
type paths struct {
	Local     int64 `json:"local"`
	Forwarded int64 `json:"forwarded"`
	Leased    int64 `json:"leased"`
	Cached    int64 `json:"cached"`
	Degraded  int64 `json:"degraded"`
}

type loadStatus struct {
	Number   int64    `json:"number"`
	Running  bool     `json:"running"`
	Rate     int      `json:"rate"`
	Keys     int      `json:"keys"`
	Limit    string   `json:"limit"`
	Line     float64  `json:"line"`
	Elapsed  float64  `json:"elapsed"` // seconds
	Duration float64  `json:"duration"`
	Sent     int64    `json:"sent"`
	Admitted int64    `json:"admitted"`
	Refused  int64    `json:"refused"`
	Failed   int64    `json:"failed"`
	Lost     int64    `json:"lost"`
	Dropped  int64    `json:"dropped"`
	Over     int64    `json:"over"`
	Bound    int64    `json:"bound"` // the most that may be over
	Reasons  []string `json:"reasons"`
	P50      float64  `json:"p50"` // milliseconds
	P99      float64  `json:"p99"`
}

type denied struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// shownDenied is how many keys the page shows.
const shownDenied = 8

// tick publishes a snapshot.
func (d *Dashboard) tick() {
	now := d.since()
	s := snapshot{Time: now.Milliseconds(), Replicas: []replicaStatus{}, Denied: []denied{}}
	replicas, forced := *d.replicas.Load(), d.tally.all.forced
	for _, r := range replicas {
		m := r.Node.Metrics()
		d.tally.add(r, m)
		s.Replicas = append(s.Replicas, d.status(r, m))
		s.Split = s.Split || r.Side > 0
	}
	d.tally.keep(replicas)
	s.Paths = d.tally.all.paths
	if v := d.drive.Load(); v != nil {
		if v.running() && d.tally.all.forced > forced {
			v.guarantee.forced(now)
		}
		s.Load = v.status(now)
		for _, c := range v.denied.Most(shownDenied) {
			s.Denied = append(s.Denied, denied{v.keys[c.Key], c.N})
		}
	}
	d.hub.publish(tickFrame, encode(s))
	d.chart.add(s)
}

func (d *Dashboard) status(r Replica, m cluster.Metrics) replicaStatus {
	c := &d.tally.by[r.Number]
	state := "joining"
	switch {
	case r.Leaving:
		state = "leaving"
	case m.Ready:
		state = "ready"
	}
	return replicaStatus{
		Number: r.Number, Name: r.Node.Name(), Address: r.Address, Side: r.Side, State: state,
		Held: m.Handoff.Held, Moving: m.Handoff.Sending + m.Handoff.Doubtful, Members: m.Members,
		Admitted: c.admitted, Refused: c.refused,
	}
}

func (v *drive) status(now time.Duration) *loadStatus {
	until := now
	if !v.running() {
		until = time.Duration(v.ended.Load())
	}
	most, reasons := v.guarantee.most(until)
	return &loadStatus{
		Number: v.number, Running: v.running(), Rate: v.plan.Rate, Keys: v.plan.Keys, Limit: v.limit.String(), Line: v.line,
		Elapsed: (until - v.began).Seconds(), Duration: v.plan.Duration.Seconds(),
		Sent: v.sent.Load(), Admitted: v.admitted.Load(), Refused: v.refused.Load(),
		Failed: v.failed.Load(), Lost: v.lost.Load(), Dropped: v.dropped.Load(),
		Over: v.ledger.Over(), Bound: most, Reasons: reasons,
		P50: ms(v.latency.Quantile(500)), P99: ms(v.latency.Quantile(990)),
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
