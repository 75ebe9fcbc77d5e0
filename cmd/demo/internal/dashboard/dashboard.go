// Package dashboard is the demo's page: what its replicas do, live, and buttons to make
// them do more. It needs no build step and no other host: the page is embedded, and its
// style, script and fonts are its own or the system's.
//
// One goroutine looks at the replicas every 50 ms: who holds each of the 4096
// partitions, who sees whom, what was admitted. It makes one snapshot out of that, which
// all browsers share. Each browser has a stream of server-sent events and is sent the
// latest snapshot when it has taken the one before: a slow one sees fewer, and holds up
// nobody, the replicas least of all.
//
// Load is sent to all replicas at once, by asking their nodes as the middleware does. An
// exact checker (package exact) compares what they admit together with the limit of each
// key, and beside what is over stands what the guarantees allow, and why: nothing, but
// for crashes and splits.
//
// Whoever can reach the page may look. Commands are taken from this host alone, from
// pages of the same origin, and under a name of the host that no other site can take: a
// page elsewhere can't press the buttons. They reach nothing but the demo's own replicas,
// within bounds of rate and time.
package dashboard

import (
	"context"

	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// MaxNumber is the highest number that a replica may have.
const MaxNumber = 31

// Replica is one of those that the page shows.
type Replica struct {
	Node    *cluster.Node
	Number  int    // 1 to MaxNumber, which stands for it as long as it lives
	Address string // where clients reach it
	Side    int    // of a split: 0 or 1
	Leaving bool
	Killed  func() bool // its process has died: nobody hears what it says
}

// Fleet is what the buttons press. Its methods may be called concurrently, and return
// when the matter has begun.
type Fleet interface {
	// Replicas returns those that live, and those that are about to leave.
	Replicas() []Replica
	// Add starts another and returns its name.
	Add(ctx context.Context) (string, error)
	// Stop has a replica leave, and Kill kills it.
	Stop(name string) error
	Kill(name string) error
	// Split cuts the replicas in two, and says which are where. Heal joins them again.
	Split() (sides [2][]string, err error)
	Heal()
}

// Dashboard is the page and what it shows. It is safe for concurrent use.
type Dashboard struct {
	fleet   Fleet
	handler http.Handler
	began   time.Time
	order   []int // of the wheels' cells
	hub     *hub
	diary   *diary
	tally   tally
	watch   *watch
	chart   chart

	ctx    context.Context // of the commands and streams
	cancel context.CancelFunc
	wg     sync.WaitGroup

	replicas atomic.Pointer[[]Replica] // as they were when last looked at

	streams  atomic.Int64
	commands sync.Mutex // held while one is carried out
	closed   bool
	drive    atomic.Pointer[drive] // the latest load; nil before the first
}

// New begins to watch a fleet. Close must be called.
func New(fleet Fleet) *Dashboard {
	d := &Dashboard{fleet: fleet, began: time.Now(), order: order(), hub: newHub(), diary: &diary{}, tally: tally{last: map[*cluster.Node]counts{}}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.watch = newWatch()
	d.handler = d.routes()
	d.look()
	d.wg.Go(d.run)
	return d
}

// ServeHTTP implements http.Handler, for paths below the page's.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// Close ends all streams and the load, and waits for every goroutine. Commands are
// refused from then on.
func (d *Dashboard) Close() {
	d.cancel()
	d.commands.Lock()
	d.closed = true
	d.commands.Unlock()
	d.wg.Wait()
}

// since is the dashboard's clock.
func (d *Dashboard) since() time.Duration { return time.Since(d.began) }

const (
	lookInterval = 50 * time.Millisecond
	looksPerTick = 4 // so five snapshots a second
)

// run looks again and again.
func (d *Dashboard) run() {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for i := 1; ; i++ {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
		}
		d.look()
		if i%looksPerTick == 0 {
			d.tick()
		}
	}
}

// look sees where the partitions are, and what has come of what was begun.
func (d *Dashboard) look() {
	replicas := d.fleet.Replicas()
	d.replicas.Store(&replicas)
	s := see(d.order, replicas)
	if d.watch.turn(s.wheels) {
		d.hub.publish(wheelFrame, encode(wheelsJSON(s.wheels)))
	}
	for _, e := range d.watch.step(s, d.since()) {
		d.diary.write(d.since(), e.kind, e.text)
	}
	if drive := d.drive.Load(); drive != nil {
		drive.guarantee.see(d.since(), s.whole())
	}
}
