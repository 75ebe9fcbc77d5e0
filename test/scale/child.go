package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"sync"
	"time"
)

// child is the process of a replica, as its parent sees it.
type child struct {
	name    string
	command *exec.Cmd
	input   io.Closer
	rpc     *rpc.Client
}

// spawn starts the process of a replica, in which nothing happens yet. It is
// killed when ctx is done.
func spawn(ctx context.Context, name string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{name: name, command: exec.CommandContext(ctx, program, replicaArg)}
	c.command.Stderr = os.Stderr
	input, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	c.input, c.rpc = input, rpc.NewClient(stdio{output, input})
	return c, nil
}

// end lets the process end and waits for it.
func (c *child) end() error {
	_ = c.input.Close()
	if err := c.command.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// tell has the replica do something.
func tell[A, R any](c *child, method string, argument A) (answer R, err error) {
	if err = c.rpc.Call("Replica."+method, argument, &answer); err != nil {
		err = fmt.Errorf("%s: %s: %w", c.name, method, err)
	}
	return answer, err
}

// order is tell for what has no answer, to several replicas at once.
func order[A any](cs []*child, method string, argument func(i int) A) error {
	var wg sync.WaitGroup
	errs := make([]error, len(cs))
	for i, c := range cs {
		wg.Go(func() { _, errs[i] = tell[A, None](c, method, argument(i)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func same[A any](a A) func(int) A { return func(int) A { return a } }

// statuses are those of all replicas.
func statuses(cs []*child) ([]Status, error) {
	all := make([]Status, len(cs))
	for i, c := range cs {
		var err error
		if all[i], err = tell[None, Status](c, "Status", None{}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// await asks the replicas how they fare until they do as wanted, for a while.
func await(ctx context.Context, what string, limit time.Duration, cs []*child, wanted func([]Status) bool) error {
	began := time.Now()
	for {
		all, err := statuses(cs)
		switch {
		case err != nil:
			return err
		case wanted(all):
			return nil
		case time.Since(began) > limit:
			return fmt.Errorf("not within %v: %s; %+v", limit, what, all)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
