package bucket

import (
	"errors"
	"fmt"
)

// Concurrent returns how many requests of a key may run at a time, if that is what
// the rule limits.
//
// It takes a look at what runs on all replicas to decide such a rule, which is
// Acquire of package cluster's Node. A Store has no part in it, and refuses every
// hit under it, with RetryAfter Never; DecodeRule refuses the rule. Limits on the
// rate go in a rule of their own.
func (r *Rule) Concurrent() (limit int64, ok bool) {
	if len(r.limits) == 0 || r.limits[0].Algorithm != Concurrent {
		return 0, false
	}
	return r.limits[0].Count, true
}

// validateConcurrent wants a Concurrent limit to be the only one of its rule.
func (r *Rule) validateConcurrent() error {
	for i, l := range r.limits {
		if l.Algorithm == Concurrent && len(r.limits) > 1 {
			return fmt.Errorf("limit %d: field Algorithm is Concurrent, which stands alone; put the other limits and penalties in a rule of their own", i+1)
		}
	}
	return nil
}

// validateConcurrent reports what a Concurrent limit has that it hasn't got.
func (l Limit) validateConcurrent() error {
	var errs []error
	if l.Per != 0 {
		errs = append(errs, fmt.Errorf("field Per is %v; what runs at a time has no window, so leave it 0", l.Per))
	}
	if l.Burst != 0 {
		errs = append(errs, fmt.Errorf("field Burst is %d; Count may run at a time, so leave it 0", l.Burst))
	}
	if l.Aligned || l.Calendar || l.Zone != "" {
		errs = append(errs, errors.New("fields Aligned, Calendar and Zone are about windows, which a Concurrent limit has none of; leave them unset"))
	}
	return errors.Join(errs...)
}
