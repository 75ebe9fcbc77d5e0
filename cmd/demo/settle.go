package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	// formTime is how long the cluster may take to form. It takes about 0.7 s.
	formTime = 30 * time.Second
	// probeTime is how long the owners may take to answer all probes.
	probeTime = 250 * time.Millisecond
	maxProbes = 10_000
)

// wait returns when the cluster has formed.
func (d *demo) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, formTime, fmt.Errorf("the replicas have not found each other within %v; -v shows why", formTime))
	defer cancel()
	return poll(ctx, d.settled)
}

// settled reports whether all replicas are ready, agree who owns what, and have
// each other's answers.
func (d *demo) settled() bool {
	replicas := d.living()
	for _, r := range replicas {
		if !r.node.Ready() || len(r.node.Members()) != len(replicas) || r.node.TableHash() != replicas[0].node.TableHash() {
			return false
		}
	}
	return answering(replicas)
}

// answering reports whether every replica decides for every other. It takes
// nothing.
func answering(replicas []*replica) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	rule := bucket.MustRule("probe", "1/second")
	for _, key := range probes(replicas, rule) {
		for _, r := range replicas {
			if decision, err := r.node.Take(ctx, rule, key, 0); err != nil || decision.Degraded {
				return false
			}
		}
	}
	return true
}

// probes returns a key of each owner.
func probes(replicas []*replica, rule *bucket.Rule) []string {
	var keys []string
	owners := map[string]bool{}
	for i := 0; len(owners) < len(replicas) && i < maxProbes; i++ {
		key := strconv.Itoa(i)
		if owner := replicas[0].node.Owner(rule, key); !owners[owner] {
			owners[owner] = true
			keys = append(keys, key)
		}
	}
	return keys
}
