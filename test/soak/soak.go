package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	replicas = 5
	staying  = 3 // of them
)

// soak is one run.
type soak struct {
	every, length time.Duration
	rate          int
	out           io.Writer

	secret   []byte
	began    time.Time
	children [replicas]*child
	replaced []time.Duration // when, since it began
}

// child is a replica's process.
type child struct {
	name    string
	command *exec.Cmd
	input   io.Closer
	read    chan struct{} // closed when its output has ended

	mu      sync.Mutex
	samples []sample
	came    []time.Time     // when the samples did
	times   []time.Duration // the same, since the run began: see cut
}

// run starts the replicas, replaces some, and ends them when the time is over.
func (s *soak) run(ctx context.Context) error {
	s.secret = make([]byte, 32)
	_, _ = rand.Read(s.secret)
	defer s.end()
	for i := range s.children {
		if err := s.start(ctx, i); err != nil {
			return err
		}
		if err := s.children[i].await(ctx, func(now sample) bool { return now.Ready }); err != nil {
			return err
		}
	}
	s.began = time.Now()
	fmt.Fprintf(s.out, "%d replicas are ready; going on for %v\n", replicas, s.length)
	next := time.NewTicker(s.every)
	defer next.Stop()
	for over := time.After(s.length); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-next.C:
			if err := s.replace(ctx); err != nil {
				return err
			}
		}
	}
}

// replace ends one of those that don't stay, by asking and by force in turn, and starts
// it anew.
func (s *soak) replace(ctx context.Context) error {
	n := len(s.replaced)
	i := staying + n/2%(replicas-staying)
	sign := syscall.SIGTERM
	if n%2 == 1 {
		sign = syscall.SIGKILL
	}
	s.replaced = append(s.replaced, time.Since(s.began))
	old := s.children[i]
	_ = old.command.Process.Signal(sign)
	<-old.read
	if err := old.command.Wait(); err != nil && sign == syscall.SIGTERM {
		return fmt.Errorf("%s: %w", old.name, err)
	}
	if err := s.start(ctx, i); err != nil {
		return err
	}
	return s.children[i].await(ctx, func(now sample) bool { return now.Ready })
}

// start starts the process of a replica.
func (s *soak) start(ctx context.Context, i int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := &child{name: fmt.Sprint("replica-", i), command: exec.CommandContext(ctx, program, replicaArg), read: make(chan struct{})}
	c.command.Stderr = os.Stderr
	input, err := c.command.StdinPipe()
	if err != nil {
		return err
	}
	output, err := c.command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.command.Start(); err != nil {
		return err
	}
	c.input, s.children[i] = input, c
	go c.listen(output)
	return json.NewEncoder(input).Encode(order{Name: c.name, Seeds: s.seeds(i), Secret: s.secret, Rate: s.rate})
}

// seeds are where the staying replicas gossip, as far as they have started.
func (s *soak) seeds(but int) (seeds []string) {
	for i, c := range s.children[:staying] {
		if c != nil && i != but {
			if last, ok := c.last(); ok {
				seeds = append(seeds, last.Gossip)
			}
		}
	}
	return seeds
}

// listen keeps what the replica says.
func (c *child) listen(output io.Reader) {
	defer close(c.read)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		var now sample
		if json.Unmarshal(lines.Bytes(), &now) != nil {
			continue
		}
		c.mu.Lock()
		c.samples, c.came = append(c.samples, now), append(c.came, time.Now())
		c.mu.Unlock()
	}
}

// cut leaves the samples of a time, of a child that has ended.
func (c *child) cut(from time.Time, length time.Duration) {
	all := c.samples
	c.samples = nil
	for i, now := range all {
		if at := c.came[i].Sub(from); at >= 0 && at <= length {
			c.samples, c.times = append(c.samples, now), append(c.times, at)
		}
	}
}

func (c *child) last() (sample, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.samples) == 0 {
		return sample{}, false
	}
	return c.samples[len(c.samples)-1], true
}

var errNotReady = errors.New("not ready within a minute")

// await waits until the last sample is as wanted.
func (c *child) await(ctx context.Context, wanted func(sample) bool) error {
	for began := time.Now(); time.Since(began) < time.Minute; {
		if now, ok := c.last(); ok && wanted(now) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.read:
			return fmt.Errorf("%s has ended", c.name)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s: %w", c.name, errNotReady)
}

// end has all replicas end, and waits for them.
func (s *soak) end() {
	for _, c := range s.children {
		if c != nil {
			_ = c.input.Close()
		}
	}
	for _, c := range s.children {
		if c != nil {
			<-c.read
			_ = c.command.Wait()
			c.cut(s.began, s.length)
		}
	}
}
