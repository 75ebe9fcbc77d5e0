// Grow measures how the cost of one decision grows with the cluster and with what it
// remembers.
//
//	go run ./test/grow                                  # 1 to 30 replicas, a thousand to ten million keys
//	go run ./test/grow -replicas 3,10 -keys 1000 -json r.json
//
// All replicas are in this one process, with real sockets on loopback and mutual
// TLS, each as [cluster.Start] makes it. The callers are the same number however
// many the replicas are: each caller asks a replica for a decision, waits for it,
// and asks the next. So with more replicas the same load is in more, smaller parts,
// which is what growing does to a service whose traffic stays as it is. Costs are CPU
// time of the whole process, the callers' included, per million decisions; at rest,
// of one replica in a second.
//
// The spread load asks for a hundred thousand keys, of which a replica owns its share
// and forwards all others. The hot load asks for one. The keys' table asks one
// replica, without peers, for more and more keys that it has all decided before.
//
// A mesh of streams at rest is measured as far as -replicas says. Beyond the largest it
// is estimated: what a replica sends, and what it takes to hold its streams, grows with
// the number of its peers, so both follow from the cost of one peer, which is
// the slope between the two largest that were measured.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := grow(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "grow: %v\n", err)
		os.Exit(1)
	}
}

// plan is what is to be measured.
type plan struct {
	replicas, keys []int
	callers        int
	phase          time.Duration
	json           string
}

// maxReplicas can shake hands at once though they are all one host: a replica lets 128
// connections of one do so, and each of the others opens two.
const maxReplicas = 60

func parsePlan(args []string) (p plan, err error) {
	flags := flag.NewFlagSet("grow", flag.ContinueOnError)
	replicas := flags.String("replicas", "1,3,10,30", "`numbers` of replicas, each from 1 to 60, which is what one host can connect")
	keys := flags.String("keys", "1000,10000,100000,1000000,10000000", "`numbers` of keys that one replica remembers")
	flags.IntVar(&p.callers, "callers", 256, "how many decisions are asked for at a time, from all replicas together")
	flags.DurationVar(&p.phase, "phase", 3*time.Second, "how long each load, and the rest, is measured")
	flags.StringVar(&p.json, "json", "", "`file` for the figures, besides")
	if err := flags.Parse(args); err != nil {
		return plan{}, err
	}
	var faults [2]error
	p.replicas, faults[0] = numbers("-replicas", *replicas, maxReplicas)
	p.keys, faults[1] = numbers("-keys", *keys, 20_000_000)
	err = errors.Join(faults[:]...)
	if flags.NArg() > 0 || p.callers < 1 || p.phase <= 0 {
		err = errors.Join(err, errors.New("-callers and -phase must be positive, and there are no arguments"))
	}
	return p, err
}

// numbers reads a list of numbers from 1 to most.
func numbers(name, list string, most int) (all []int, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("%s: %q is no number from 1 to %d", name, text, most)
		}
		all = append(all, n)
	}
	return all, nil
}

// Report is what was measured.
type Report struct {
	Callers int
	Meshes  []Mesh
	Stores  []Memories
}

func grow(ctx context.Context, args []string) error {
	p, err := parsePlan(args)
	if err != nil {
		return err
	}
	r := Report{Callers: p.callers}
	fmt.Print(meshTitle)
	for _, n := range p.replicas {
		m, err := measureMesh(ctx, n, p)
		if err != nil {
			return fmt.Errorf("%d replicas: %w", n, err)
		}
		r.Meshes = append(r.Meshes, m)
		fmt.Print(m)
	}
	fmt.Print(estimate(r.Meshes, 500), storeTitle)
	for _, n := range p.keys {
		s, err := measureStore(ctx, n, p.phase)
		if err != nil {
			return fmt.Errorf("%d keys: %w", n, err)
		}
		r.Stores = append(r.Stores, s)
		fmt.Print(s)
	}
	if p.json == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(p.json, b, 0o644)
}
