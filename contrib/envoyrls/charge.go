package envoyrls

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// charge decides all hits at once, and whether the request is over the limit. If it
// is, or there is an error, what the others took is given back. It is no TakeAll, as
// a quota may refuse a request that goes on and charges the rest.
func (s *Service) charge(ctx context.Context, hits []hit) (over bool, err error) {
	err = each(hits, func(h *hit) error { return s.decide(ctx, h) })
	over = err == nil && overall(hits)
	switch {
	case err == nil && s.options.ChargeRefused:
		return over, each(hits, func(h *hit) error { return s.drain(ctx, h) })
	case err != nil || over:
		// A refund that fails errs to the strict side; the answer is the same.
		_ = each(hits, func(h *hit) error { return s.giveBack(context.WithoutCancel(ctx), h) })
	}
	return over, err
}

func (s *Service) decide(ctx context.Context, h *hit) (err error) {
	switch {
	case h.Rule == nil:
	case h.tokens == 0:
		h.decision, err = s.look(ctx, h)
	default:
		h.decision, err = s.limiter.Take(ctx, h.Rule, h.Key, h.tokens)
	}
	return err
}

// look decides as if for one token, and says how many there are.
func (s *Service) look(ctx context.Context, h *hit) (bucket.Decision, error) {
	d, err := s.limiter.Peek(ctx, h.Rule, h.Key, 1)
	if d.Allowed && !d.WouldRefuse {
		d.Remaining = min(d.Remaining+1, d.Limit.Capacity())
	}
	return d, err
}

// drain takes what is left where a hit cost more than that. What others take
// meanwhile is tried for twice more.
func (s *Service) drain(ctx context.Context, h *hit) error {
	d := h.decision
	for range 3 {
		if h.Rule == nil || h.tokens == 0 || d.Allowed && !d.WouldRefuse || d.Degraded || d.Remaining <= 0 {
			break
		}
		var err error
		if d, err = s.limiter.Take(ctx, h.Rule, h.Key, min(d.Remaining, h.tokens)); err != nil {
			return nil // the decision was made before
		}
		h.decision.Remaining = d.Remaining
	}
	return nil
}

func (s *Service) giveBack(ctx context.Context, h *hit) error {
	if h.decision.Receipt.Tokens() == 0 {
		return nil
	}
	return s.limiter.Refund(ctx, h.Rule, h.Key, h.decision.Receipt)
}

// overall reports whether a request is over the limit.
func overall(hits []hit) bool {
	quotas, spent := 0, 0
	for i := range hits {
		h := &hits[i]
		switch {
		case h.Quota && h.Rule != nil:
			quotas++
			if h.over() {
				spent++
			}
		case h.over():
			return true
		}
	}
	return quotas > 0 && spent == quotas
}

// each calls f for all hits at once, and returns their errors.
func each(hits []hit, f func(*hit) error) error {
	errs := make([]error, len(hits))
	var wg sync.WaitGroup
	for i := 1; i < len(hits); i++ {
		wg.Go(func() { errs[i] = f(&hits[i]) })
	}
	errs[0] = f(&hits[0])
	wg.Wait()
	return errors.Join(errs...)
}

// failure is an error of the limiter as gRPC has it.
func failure(err error) error {
	code := codes.Internal
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = status.FromContextError(err).Code()
	case errors.Is(err, cluster.ErrClosed):
		code = codes.Unavailable
	case errors.Is(err, cluster.ErrConcurrent):
		code = codes.FailedPrecondition
	}
	return status.Errorf(code, "envoyrls: %v", err)
}
