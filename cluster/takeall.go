package cluster

import (
	"context"
	"errors"
	"sync"

	"github.com/shoal-dev/shoal/bucket"
)

// TakeAll takes tokens from several keys under their rules, for instance from a
// user's and an address's, all or nothing. It returns the decisions in the order of
// the charges. Each is that of its own rule; the request may go on if all of them
// are Allowed. If any isn't, what the others took has been given back when TakeAll
// returns, and meanwhile others may have been refused it; the Receipts are zero then.
//
// It asks all holders at once, also of keys that are leased, so that what is given back
// is there again to the last token. It takes up to twice Config.HitTimeout. An error of
// any charge, those of Take, is an error of all, and nothing stays charged either;
// an error that wraps ErrNoHolder says that giving back failed, which errs to the
// strict side. It is safe for concurrent use.
func (n *Node) TakeAll(ctx context.Context, charges []bucket.Charge) ([]bucket.Decision, error) {
	decisions := make([]bucket.Decision, len(charges))
	err := each(len(charges), func(i int) error {
		c := charges[i]
		return n.ask(ctx, &decisions[i], &question{rule: c.Rule, key: c.Key, tokens: c.Tokens, how: together})
	})
	all := err == nil
	for _, d := range decisions {
		all = all && d.Allowed
	}
	if all {
		return decisions, nil
	}
	failed := each(len(charges), func(i int) error {
		receipt := decisions[i].Receipt
		decisions[i].Receipt = bucket.Receipt{}
		if receipt.Tokens() == 0 {
			return nil
		}
		return n.restore(context.WithoutCancel(ctx), charges[i].Rule, charges[i].Key, receipt, together)
	})
	return decisions, errors.Join(err, failed)
}

// each calls f for 0 to n-1 at once, and returns their errors.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		wg.Go(func() { errs[i] = f(i) })
	}
	if n > 0 {
		errs[0] = f(0)
	}
	wg.Wait()
	return errors.Join(errs...)
}

// SetMode changes what becomes of a rule's decisions on this replica, while it is in
// use. It is rule.SetMode, and logged. Each replica has its own mode.
func (n *Node) SetMode(rule *bucket.Rule, mode bucket.Mode) error {
	if rule == nil {
		return ErrNilRule
	}
	if err := rule.SetMode(mode); err != nil {
		return err
	}
	n.config.Log.Info("mode changed", "rule", rule.Name(), "mode", mode)
	return nil
}
