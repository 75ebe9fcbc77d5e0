package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// shoal is the real path: two nodes that found each other by gossip. A secret makes
// them talk mutual TLS.
type shoal struct{ secure bool }

func (s shoal) start(name string, seeds ...string) (*cluster.Node, error) {
	c := cluster.Config{Name: name, Cluster: "bench", Bind: "127.0.0.1:0", Seeds: seeds}
	if s.secure {
		c.Secret = []byte("a secret of both benchmark nodes")
	}
	return cluster.Start(context.Background(), c)
}

// closeNode closes a node without its farewell: the other one goes as well.
func closeNode(n *cluster.Node) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.Close(ctx) // which says that nobody was told
}

func (s shoal) serve() (address string, stop func(), err error) {
	n, err := s.start("owner")
	if err != nil {
		return "", nil, err
	}
	return n.GossipAddress(), func() { closeNode(n) }, nil
}

func (s shoal) connect(ctx context.Context, address string, keys int) (asker, error) {
	n, err := s.start("asker", address)
	if err != nil {
		return nil, err
	}
	a := &shoalAsker{node: n, rule: benchRule(), keys: make([]string, 0, keys)}
	if err := a.settle(ctx, keys); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

type shoalAsker struct {
	node *cluster.Node
	rule *bucket.Rule
	keys []string // owned by the other node
	view uint64   // table of owners by which they were chosen
}

// settle waits until the nodes have found each other, chooses the keys and
// makes sure that the owner decides one.
func (a *shoalAsker) settle(ctx context.Context, keys int) error {
	both := func() error {
		if n := len(a.node.Members()); n != 2 || !a.node.Ready() {
			return fmt.Errorf("the two nodes have not found each other: %d in view", n)
		}
		return nil
	}
	if err := retry(ctx, both); err != nil {
		return err
	}
	a.view = a.node.TableHash()
	theirs := make([]int, 0, keys)
	for i := 0; len(theirs) < keys; i++ {
		if a.node.Owner(a.rule, keyName(i)) != a.node.Name() {
			theirs = append(theirs, i)
		}
	}
	for _, i := range theirs { // only now: so they lie as close together as those of the other systems
		a.keys = append(a.keys, keyName(i))
	}
	return retry(ctx, func() error { return a.ask(0) })
}

var (
	errDegraded = errors.New("degraded: decided by the failure policy")
	errRefused  = errors.New("refused")
)

func (a *shoalAsker) ask(i int) error {
	d, err := a.node.Take(context.Background(), a.rule, a.keys[i], 1)
	switch {
	case err != nil:
		return err
	case d.Degraded:
		return errDegraded
	case !d.Allowed:
		return errRefused
	}
	return nil
}

// check sees to it that the keys are the other node's, as hits on one's own are
// decided at once.
func (a *shoalAsker) check() error {
	if a.node.TableHash() != a.view {
		return errors.New("the nodes lost sight of each other, so the asker decided by itself")
	}
	return nil
}

func (a *shoalAsker) close() { closeNode(a.node) }

// retry does what may fail at first until it doesn't, or ctx is done.
func retry(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
