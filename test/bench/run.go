package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"
)

// run carries out the plan, round by round.
func run(ctx context.Context, p plan, progress io.Writer) ([]sample, error) {
	var samples []sample
	for round := range p.rounds {
		for i := range p.systems {
			e := p.systems[(round+i)%len(p.systems)]
			fmt.Fprintf(progress, "bench: round %d of %d: %s\n", round+1, p.rounds, e.name)
			some, err := runSystem(ctx, p, e, round+1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
			samples = append(samples, some...)
		}
	}
	return samples, nil
}

// connectTime is how long a system may take until its owner answers.
const connectTime = 15 * time.Second

// runSystem measures one system once, with an owner process of its own.
func runSystem(ctx context.Context, p plan, e entry, round int) ([]sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o, err := startOwner(ctx, e.name, cancel)
	if err != nil {
		return nil, err
	}
	defer o.stop()
	starting, started := context.WithTimeoutCause(ctx, connectTime,
		fmt.Errorf("the owner has not answered for %v", connectTime))
	a, err := e.connect(starting, o.address, p.keys)
	started()
	if err != nil {
		return nil, err
	}
	defer a.close()
	prime(a, p.keys)
	var samples []sample
	for _, callers := range p.callers {
		s, err := measure(ctx, p, a, o, callers, round)
		if err != nil {
			return nil, fmt.Errorf("%d callers: %w", callers, err)
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// measure has so many callers ask for the time of the plan.
func measure(ctx context.Context, p plan, a asker, o *owner, callers, round int) (sample, error) {
	runtime.GC()
	l := startLoad(a, callers, p.keys, p.rate)
	seen, err := observe(ctx, p, l, o, fmt.Sprintf("%s-%d-%d", o.name, callers, round))
	sum := l.stop()
	if err != nil {
		return sample{}, err
	}
	if err := a.check(); err != nil {
		return sample{}, err
	}
	if sum.total() == 0 {
		if sum.failure == nil {
			sum.failure = errors.New("none was answered")
		}
		return sample{}, fmt.Errorf("no decision in %v: %w", seen.took, sum.failure)
	}
	s := newSample(sum, seen)
	s.System, s.Callers, s.Round = o.name, callers, round
	return s, nil
}

// observation is an interval in which the load was counted, and what was used
// of the machine until shortly before it and shortly after.
type observation struct {
	took          time.Duration
	before, after reading
}

// observe lets the load run and counts it, under profiles of that name if the
// plan wants any.
func observe(ctx context.Context, p plan, l *load, o *owner, name string) (observation, error) {
	if err := sleep(ctx, p.warmup); err != nil {
		return observation{}, err
	}
	if p.profile == "" {
		return count(ctx, l, o, p.time)
	}
	end, err := beginProfiles(ctx, o, filepath.Join(p.profile, name))
	if err != nil {
		return observation{}, err
	}
	seen, err := count(ctx, l, o, p.time)
	if failed := end(); err == nil {
		err = failed
	}
	return seen, err
}

// count has the load counted for a while. The callers ask before and after that
// too, so that the readings needn't be taken at once.
func count(ctx context.Context, l *load, o *owner, d time.Duration) (seen observation, err error) {
	if seen.before, err = read(ctx, o); err != nil {
		return seen, err
	}
	begun := time.Now()
	l.phase.Store(measuring)
	err = sleep(ctx, d)
	l.phase.Store(idling)
	seen.took = time.Since(begun)
	if err != nil {
		return seen, err
	}
	seen.after, err = read(ctx, o)
	return seen, err
}

// beginProfiles profiles both processes until end is called.
func beginProfiles(ctx context.Context, o *owner, name string) (end func() error, err error) {
	if _, err := o.call(ctx, "profile "+name+"-owner.pprof"); err != nil {
		return nil, err
	}
	var own profile
	if err := own.begin(name + "-asker.pprof"); err != nil {
		return nil, err
	}
	return func() error {
		_, err := o.call(ctx, "profile")
		return errors.Join(err, own.end())
	}, nil
}

// reading is the use of the machine by both processes and by all.
type reading struct {
	asker, owner usage
	machine      machine
}

func read(ctx context.Context, o *owner) (r reading, err error) {
	a, err := o.call(ctx, "usage")
	if err != nil {
		return r, err
	}
	if a.Usage == nil {
		return r, fmt.Errorf("the owner process of %s answered without its usage", o.name)
	}
	r.owner = *a.Usage
	if r.asker, err = readUsage(); err != nil {
		return r, err
	}
	r.machine, err = readMachine()
	return r, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
