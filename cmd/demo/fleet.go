package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/shoal-dev/shoal/cmd/demo/internal/dashboard"
)

// This file is what the dashboard may do with the replicas: demo is its Fleet.

var (
	errFull   = fmt.Errorf("there are %d replicas, and two cores carry no more", maxReplicas)
	errLast   = errors.New("this is the last replica; somebody has to answer")
	errEnding = errors.New("the demo is about to end")
)

// Replicas implements dashboard.Fleet.
func (d *demo) Replicas() []dashboard.Replica {
	var replicas []dashboard.Replica
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range slices.Concat(d.replicas, d.leaving) {
		side, _ := d.net.Side(r.node.Name())
		replicas = append(replicas, dashboard.Replica{
			Node: r.node, Number: r.number, Address: r.server.address(), Side: side,
			Leaving: i >= len(d.replicas), Killed: r.killed.Load,
		})
	}
	return replicas
}

// Add implements dashboard.Fleet. The new replica has the lowest number that is free, so
// that it takes the place of one that was killed.
func (d *demo) Add(ctx context.Context) (string, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.closed {
		return "", errEnding
	}
	number := d.free()
	if number > maxReplicas {
		return "", errFull
	}
	l, err := d.listen(number)
	if err != nil {
		return "", err
	}
	r, err := d.start(ctx, l, number)
	if err != nil {
		return "", err
	}
	d.balancer.upstreams.set(d.addresses())
	return r.node.Name(), nil
}

// free is the lowest number that no replica has.
func (d *demo) free() int {
	taken := map[int]bool{}
	for _, r := range d.Replicas() {
		taken[r.Number] = true
	}
	number := 1
	for taken[number] {
		number++
	}
	return number
}

// listen opens the port for clients of a replica: its own if that is free, or any.
func (d *demo) listen(number int) (net.Listener, error) {
	if d.port != 0 && d.port+number <= maxPort {
		l, err := net.Listen("tcp", net.JoinHostPort(d.host, strconv.Itoa(d.port+number)))
		if err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", net.JoinHostPort(d.host, "0"))
}

// Stop implements dashboard.Fleet.
func (d *demo) Stop(name string) error {
	r, err := d.take(name, true)
	if err != nil {
		return err
	}
	d.ending.Go(func() {
		defer d.left(r)
		ctx, cancel := toEnd(context.Background())
		defer cancel()
		if err := r.close(ctx); err != nil {
			d.log.Warn("stopped a replica", "replica", r.number, "error", err)
		}
	})
	return nil
}

// Kill implements dashboard.Fleet.
func (d *demo) Kill(name string) error {
	r, err := d.take(name, false)
	if err != nil {
		return err
	}
	r.killed.Store(true)
	d.ending.Go(r.kill)
	return nil
}

// left is called when a replica has left.
func (d *demo) left(r *replica) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = slices.DeleteFunc(d.leaving, func(other *replica) bool { return other == r })
}

// take removes a replica from those that live, for it is about to leave, or to be killed.
func (d *demo) take(name string, leaves bool) (*replica, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range d.replicas {
		if r.node.Name() != name {
			continue
		}
		if len(d.replicas) == 1 {
			return nil, errLast
		}
		d.replicas = append(d.replicas[:i:i], d.replicas[i+1:]...)
		if leaves {
			d.leaving = append(d.leaving, r)
		}
		d.balancer.upstreams.set(addressesOf(d.replicas))
		return r, nil
	}
	return nil, fmt.Errorf("no replica is called %q", name)
}

// Split implements dashboard.Fleet: the first half of the replicas, and the rest.
func (d *demo) Split() ([2][]string, error) {
	var sides [2][]string
	replicas := d.living()
	if len(replicas) < 2 {
		return sides, errors.New("one replica can't be split; add another first")
	}
	second := map[string]int{}
	for i, r := range replicas {
		name, side := r.node.Name(), 0
		if i >= (len(replicas)+1)/2 {
			side = 1
			second[name] = 1
		}
		sides[side] = append(sides[side], name)
	}
	d.net.Split(second)
	return sides, nil
}

// Heal implements dashboard.Fleet.
func (d *demo) Heal() { d.net.Heal() }
