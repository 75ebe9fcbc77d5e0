package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/shoal-dev/shoal/bucket"
)

// Limiter is what the middleware packages ask for, all of it. *cluster.Node is one.
type Limiter interface {
	Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
	TakeAll(ctx context.Context, charges []bucket.Charge) ([]bucket.Decision, error)
	Acquire(ctx context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error)
	Refund(ctx context.Context, rule *bucket.Rule, key string, receipt bucket.Receipt) error
}

// Trace returns a limiter that decides as l does, and sets on the span of the context what
// it has decided:
//
//	shoal.rule         the rule's name
//	shoal.outcome      allowed, refused or would_refuse
//	shoal.degraded     true where the decision was made without the key's holder
//	shoal.remaining    tokens left
//	shoal.retry_after  seconds, of a refusal that isn't for ever
//
// Of several decisions under one span those of the last one stay, or of TakeAll that of
// the first refusal. The key is never set. It is safe for concurrent use where l is.
func Trace(l Limiter) Limiter { return traced{l} }

type traced struct{ Limiter }

func (t traced) Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	d, err := t.Limiter.Take(ctx, rule, key, tokens)
	mark(ctx, rule, &d, err)
	return d, err
}

func (t traced) Acquire(ctx context.Context, rule *bucket.Rule, key string) (func(), bucket.Decision, error) {
	release, d, err := t.Limiter.Acquire(ctx, rule, key)
	mark(ctx, rule, &d, err)
	return release, d, err
}

func (t traced) TakeAll(ctx context.Context, charges []bucket.Charge) ([]bucket.Decision, error) {
	ds, err := t.Limiter.TakeAll(ctx, charges)
	for i := range ds {
		if !ds[i].Allowed || ds[i].WouldRefuse || i == len(ds)-1 {
			mark(ctx, charges[i].Rule, &ds[i], err)
			break
		}
	}
	return ds, err
}

// mark sets the attributes.
func mark(ctx context.Context, rule *bucket.Rule, d *bucket.Decision, err error) {
	span := trace.SpanFromContext(ctx)
	if err != nil || !span.IsRecording() {
		return
	}
	outcome := "allowed"
	switch {
	case d.WouldRefuse:
		outcome = "would_refuse"
	case !d.Allowed:
		outcome = "refused"
	}
	span.SetAttributes(
		attribute.String("shoal.rule", rule.Name()),
		attribute.String("shoal.outcome", outcome),
		attribute.Bool("shoal.degraded", d.Degraded),
		attribute.Int64("shoal.remaining", d.Remaining),
	)
	if d.RetryAfter > 0 && d.RetryAfter != bucket.Never {
		span.SetAttributes(attribute.Float64("shoal.retry_after", float64(d.RetryAfter)/float64(time.Second)))
	}
}
