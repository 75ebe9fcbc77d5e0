package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/ring"
)

const (
	before = iota + 1 // the phases, after that in which the load warms up
	during
	after
	phaseCount
)

const patience = 60 * time.Second

// run does what the plan says.
func run(ctx context.Context, p plan) (r report, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var cs []*child
	for i := range 4 {
		c, err := spawn(ctx, fmt.Sprint("replica-", i+1))
		if err != nil {
			return report{}, err
		}
		cs = append(cs, c)
	}
	r = report{Keys: p.keys, Empty: p.empty, Rate: p.rate}
	old, newcomer := cs[:3], cs[3]
	if err := fill(ctx, p, &r, old); err != nil {
		return report{}, err
	}
	if err := order(cs, "Collect", same(None{})); err != nil {
		return report{}, err
	}
	if r.Idle, err = memories(cs); err != nil {
		return report{}, err
	}
	if err := move(ctx, p, &r, old, newcomer); err != nil {
		return report{}, err
	}
	for _, c := range cs {
		phases, err := tell[None, []Phase](c, "Phases", None{})
		if err != nil {
			return report{}, err
		}
		for i := range phases {
			r.Phases[i].add(phases[i])
		}
	}
	if err := order(cs, "Collect", same(None{})); err != nil {
		return report{}, err
	}
	if r.Settled, err = memories(cs); err != nil {
		return report{}, err
	}
	for _, c := range cs {
		if err := c.end(); err != nil {
			return report{}, err
		}
	}
	return r, nil
}

// fill starts the replicas and fills them.
func fill(ctx context.Context, p plan, r *report, cs []*child) error {
	for _, c := range cs {
		address, err := tell[Opening, string](c, "Open", Opening{c.name, r.seeds})
		if err != nil {
			return err
		}
		r.seeds = append(r.seeds, address)
	}
	if err := await(ctx, "three are one cluster", patience, cs, whole(len(cs))); err != nil {
		return err
	}
	began := time.Now()
	err := order(cs, "Fill", func(i int) Filling { return Filling{i, len(cs), p.keys, p.empty} })
	if err != nil {
		return err
	}
	r.Fill = time.Since(began)
	return await(ctx, "every standby has its copies", patience, cs, whole(len(cs)))
}

// move has the newcomer join under load.
func move(ctx context.Context, p plan, r *report, old []*child, newcomer *child) error {
	all := append(slices.Clone(old), newcomer)
	share := func(n int) Loading { return Loading{Rate: p.rate / n, Keys: p.keys, Empty: p.empty} }
	if err := order(old, "Load", same(share(len(old)))); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil { // connections and tables warm up
		return err
	}
	if err := order(old, "Phase", same(None{})); err != nil {
		return err
	}
	if err := pause(ctx, p.phase); err != nil {
		return err
	}
	var err error
	if r.Before, err = memories(all); err != nil {
		return err
	}
	if err := order(old, "Phase", same(None{})); err != nil {
		return err
	}
	if p.profile != "" {
		profile := func(i int) string { return filepath.Join(p.profile, all[i].name+".cpu") }
		if err := order(all, "Profile", profile); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := tell[Opening, string](newcomer, "Open", Opening{newcomer.name, r.seeds}); err != nil {
		return err
	}
	if err := await(ctx, "every partition is where it should be", patience, all, placed(len(all))); err != nil {
		return err
	}
	r.Placed = time.Since(began)
	if err := await(ctx, "every standby has its copies", patience, all, whole(len(all))); err != nil {
		return err
	}
	r.Moved = time.Since(began)
	if r.During, err = memories(all); err != nil {
		return err
	}
	if err := order(all, "Profile", same("")); err != nil {
		return err
	}
	if r.Tallies, err = tallies(all); err != nil {
		return err
	}
	if err := order(all, "Load", same(share(len(all)))); err != nil {
		return err
	}
	if err := order(old, "Phase", same(None{})); err != nil {
		return err
	}
	for range phaseCount - 1 { // it had none so far
		if err := order(all[len(old):], "Phase", same(None{})); err != nil {
			return err
		}
	}
	return pause(ctx, p.phase)
}

// placed reports whether n replicas have all partitions where they should be.
func placed(n int) func([]Status) bool {
	return func(all []Status) bool {
		held := 0
		for _, s := range all {
			h := s.Metrics.Handoff
			if s.Metrics.Members != n || s.Table != all[0].Table || h.Missing+h.Sending+h.Doubtful > 0 {
				return false
			}
			held += h.Held
		}
		return held == ring.Partitions
	}
}

// whole is placed, with everything copied to where it should be.
func whole(n int) func([]Status) bool {
	return func(all []Status) bool {
		return placed(n)(all) && !slices.ContainsFunc(all, func(s Status) bool {
			return !s.Ready || s.Metrics.Handoff.Uncopied > 0
		})
	}
}

// memories are the peaks since the last phase began.
func memories(cs []*child) ([]Memory, error) {
	all, err := statuses(cs)
	if err != nil {
		return nil, err
	}
	peaks := make([]Memory, len(all))
	for i, s := range all {
		peaks[i] = s.Memory
	}
	return peaks, nil
}

// tallies are what the replicas say of their hand-off.
func tallies(cs []*child) ([]cluster.HandoffMetrics, error) {
	all, err := statuses(cs)
	if err != nil {
		return nil, err
	}
	ts := make([]cluster.HandoffMetrics, len(all))
	for i, s := range all {
		ts[i] = s.Metrics.Handoff
	}
	return ts, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
