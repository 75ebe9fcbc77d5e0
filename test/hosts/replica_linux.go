package hosts

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// orderVariable holds the order by which the test program becomes a replica.
const orderVariable = "SHOAL_HOSTS_REPLICA"

// order says what a replica is started with.
type order struct {
	Name, Bind, Journal string
	Seeds               []string
	Secret              []byte
	Classes             []class
}

// command is what a replica is told. It gives one reply to each, in order.
type command struct {
	Do            string // state, load, stop, exhaust, extra or close
	Rate, Callers int    // load: calls a second, and how many at once
	Part, Of      int    // exhaust: which of the hits fall to this replica
}

// reply is the answer to a command; which fields are set depends on it.
type reply struct {
	Error   string
	Members []cluster.Member // state, and so are Hash and Ready
	Hash    uint64
	Ready   bool
	// Uncopied partitions have no whole copy at their standby yet.
	Uncopied int
	Counts   counts // exhaust, extra
}

// runReplica is the whole life of a replica: it obeys what comes in until that ends.
func runReplica(text string, in io.Reader, out io.Writer) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("%s: %w", orderVariable, err)
	}
	subjects, err := makeSubjects(o.Classes)
	if err != nil {
		return err
	}
	j, err := openJournal(o.Journal)
	if err != nil {
		return err
	}
	node, err := cluster.Start(context.Background(), cluster.Config{
		Name: o.Name, Bind: o.Bind, Seeds: o.Seeds, Secret: o.Secret,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	go watch(j)
	r := &replica{caller: caller{node, j, subjects}, classes: o.Classes}
	lines, replies := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		if err := replies.Encode(r.obey(c)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// replica is a node under command.
type replica struct {
	caller
	classes []class
	load    *load // nil if there is none
}

func (r *replica) obey(c command) (a reply) {
	switch c.Do {
	case "state":
		a.Members, a.Hash, a.Ready = r.node.Members(), r.node.TableHash(), r.node.Ready()
		a.Uncopied = r.node.Metrics().Handoff.Uncopied
	case "load":
		r.load = startLoad(r.caller, c.Rate, c.Callers)
	case "stop":
		r.endLoad()
	case "exhaust":
		a.Counts = r.each(func(key int) int { return r.part(key, c) })
	case "extra":
		a.Counts = r.each(func(int) int { return 1 })
	case "close": // under load, if there is one
		if err := r.node.Close(context.Background()); err != nil {
			a.Error = err.Error()
		}
		r.endLoad()
	default:
		a.Error = fmt.Sprintf("unknown command %q", c.Do)
	}
	return a
}

func (r *replica) endLoad() {
	if r.load != nil {
		r.load.stop()
		r.load = nil
	}
}

// part is how many of the hits that exhaust a key are this replica's. They fall to
// the replicas in turn, beginning with another one for each key.
func (r *replica) part(key int, c command) int {
	n := 0
	for hit := range int(r.classes[0].Count) {
		if (key+hit)%c.Of == c.Part {
			n++
		}
	}
	return n
}

// pulse is how often a process looks whether it is still scheduled.
const pulse = 5 * time.Millisecond

// watch journals whenever the process slept for longer than it wanted, as long as
// it lives.
func watch(j *journal) {
	for {
		woke := clock() + int64(pulse)
		time.Sleep(pulse)
		if clock()-woke > int64(pulse) {
			j.stall(woke)
		}
	}
}
