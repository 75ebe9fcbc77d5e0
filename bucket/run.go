package bucket

import (
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// Run is what is said to a number of equal hits that were decided together, as if one
// after the other at one moment: the first of them are allowed, the others refused.
// It says to each what it would have been told by itself. A Run is made by
// Store.TakeRun, or from its parts and its rows where those have travelled; it may
// be used again after Reset.
//
// That the allowed ones can be told apart needs no list of them. Whatever the
// algorithm, the state after i hits of n tokens is the one after a hit of i·n; and
// what is left of a limit after each is n less, what a bucket owes the price of n
// more. So one row for each limit, of how it stands after the first hit, is enough.
type Run struct {
	parts  [runParts]runPart
	used   int
	rows   [MaxLimits]row
	limits int   // rows that are used: 0 where nobody was allowed besides the first
	scale  int   // among how many replicas the limits were divided
	tokens int64 // that each hit costs
}

// runParts is how many different things may be said in a row: allowed, refused, and
// refused by a penalty that the refusals before had charged.
const runParts = 3

// runPart is a number of hits in a row; the verdict is the first's.
type runPart struct {
	count   int
	verdict Verdict
}

// row is how a limit stands after the first hit: what is left of it, and what it
// owes. In place of that a window has the time until it is whole, or a sliding one
// the time until the next begins and, as frac, what was counted in this one.
type row struct {
	remaining int64
	debt      span
}

// reset is the time until the limit is whole again when taken more are, and it then
// owes debt.
func (r *row) reset(t *term, taken int64, debt span) time.Duration {
	if t.algorithm == SlidingWindow {
		return time.Duration(int64(r.debt.ns) + t.window.weighing(r.debt.frac+uint64(taken), 0))
	}
	return time.Duration(debt.ceil())
}

// Reset empties the run, for hits that cost so many tokens under limits divided
// among so many replicas.
func (r *Run) Reset(tokens int64, scale int) {
	r.used, r.limits, r.tokens, r.scale = 0, 0, tokens, max(scale, 1)
}

// Add has the next count hits told a verdict, and returns it to be filled in: a zero
// one. There may be three such parts; nil says that there are.
func (r *Run) Add(count int) *Verdict {
	if r.used == runParts {
		return nil
	}
	p := &r.parts[r.used]
	*p, r.used = runPart{count: count}, r.used+1
	return &p.verdict
}

// append has the next hits told v: as part of the last, if those were told the same.
func (r *Run) append(v *Verdict, count int) {
	if r.used > 0 && (r.parts[r.used-1].verdict == *v || r.used == runParts) {
		r.parts[r.used-1].count += count
		return
	}
	*r.Add(count) = *v
}

// Parts returns how many parts there are, and Part one of them: how many hits it
// says something to, and what to the first of them.
func (r *Run) Parts() int { return r.used }

// Part is described with Parts.
func (r *Run) Part(i int) (count int, v *Verdict) { return r.parts[i].count, &r.parts[i].verdict }

// Same reports whether all hits are told the same.
func (r *Run) Same() bool { return r.used == 1 && r.limits == 0 }

// Degrade marks all verdicts as not those of the holder of the state.
func (r *Run) Degrade() {
	for i := range r.parts[:r.used] {
		r.parts[i].verdict.Degraded = true
	}
}

// Scale is among how many replicas the limits were divided.
func (r *Run) Scale() int { return r.scale }

// Len returns how many hits it says something to.
func (r *Run) Len() (n int) {
	for i := range r.parts[:r.used] {
		n += r.parts[i].count
	}
	return n
}

// At writes to v, which is zero before, what is said to hit i under the rule, the
// first being 0. i is below Len.
func (r *Run) At(v *Verdict, rule *Rule, i int) {
	for p := range r.parts[:r.used] {
		part := &r.parts[p]
		if i < part.count {
			*v = part.verdict
			if p == 0 && i > 0 && r.limits == rule.plain {
				r.advance(v, rule, i)
			}
			return
		}
		i -= part.count
	}
}

// advance makes of the first hit's verdict that of one which came i after it.
func (r *Run) advance(v *Verdict, rule *Rule, i int) {
	terms := rule.terms
	if r.scale > 1 {
		var space [MaxLimits]term
		terms = rule.shares(space[:], r.scale)
	}
	taken := int64(i) * r.tokens
	owed, width := v.Receipt.owed, width(r.limits)
	for k := range r.rows[:r.limits] {
		t, row := &terms[k], &r.rows[k]
		debt := row.debt
		if !t.windowed() {
			debt = t.gcra.add(debt, t.gcra.cost(uint64(taken)))
			mask := uint64(math.MaxUint64) >> (64 - width) << (width * uint(k))
			owed = owed&^mask | debt.ns>>t.gcra.grain(width)<<(width*uint(k))&mask
		}
		if t.algorithm == LeakyBucket {
			before := t.gcra.add(row.debt, t.gcra.cost(uint64(taken-r.tokens)))
			v.Delay = max(v.Delay, time.Duration(before.ceil()))
		}
		remaining, reset := max(row.remaining-taken, 0), row.reset(t, taken, debt)
		if k == 0 || remaining < v.Remaining || remaining == v.Remaining && reset > v.ResetAfter {
			v.Limit, v.Remaining, v.ResetAfter = uint8(k), remaining, reset // as in settle
		}
	}
	if v.Receipt.tokens > 0 {
		v.Receipt.owed = owed
	}
}

// RowBytes is the size of a limit's row in binary.
const RowBytes = 8 + 8 + 8

var errRows = errors.New("bucket: malformed rows of a run")

// AppendRows appends what tells the allowed hits apart, in RowBytes for each limit.
func (r *Run) AppendRows(b []byte) []byte {
	for i := range r.rows[:r.limits] {
		row := &r.rows[i]
		b = binary.BigEndian.AppendUint64(b, uint64(row.remaining))
		b = binary.BigEndian.AppendUint64(b, row.debt.ns)
		b = binary.BigEndian.AppendUint64(b, row.debt.frac)
	}
	return b
}

// ReadRows reads what AppendRows appended, and no more. Any numbers will do: they
// say something to the asker alone.
func (r *Run) ReadRows(b []byte) error {
	if len(b)%RowBytes != 0 || len(b) > MaxLimits*RowBytes {
		return errRows
	}
	r.limits = len(b) / RowBytes
	for i := range r.rows[:r.limits] {
		f := b[i*RowBytes:]
		r.rows[i] = row{int64(binary.BigEndian.Uint64(f)), span{binary.BigEndian.Uint64(f[8:]), binary.BigEndian.Uint64(f[16:])}}
	}
	return nil
}

// TakeRun is TakeHeld for count equal hits at once, 1 or more, whose verdicts are
// written to run. It takes about as long as three single ones, however many they are,
// but for the refusals that a penalty counts. Without a condition held is nil.
func (s *Store) TakeRun(run *Run, held *atomic.Int64, rule *Rule, d Digest, n int64, count int, now int64, replicas int) (ok bool) {
	run.Reset(n, replicas)
	h := hit{rule.terms, rule.plain, rule.print, d, n, now}
	if replicas > 1 {
		var space [MaxLimits]term
		h.terms, h.print = rule.shares(space[:], replicas), rule.shareprint(replicas)
	}
	if n < 0 {
		run.Add(count).RetryAfter = Never
		return true
	}
	sh := s.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false
	}
	s.run(run, sh, &h, count)
	return true
}

// run decides count hits like h in a row. sh.mu is held.
func (s *Store) run(r *Run, sh *shard, h *hit, count int) {
	charged := s.decide(r.Add(1), sh, h)
	first := &r.parts[0]
	switch {
	case h.n == 0 && first.verdict.Allowed:
		first.count = count
		return
	case first.verdict.Allowed:
		more := min(s.stand(r, sh, h), int64(count-1))
		if more > 0 {
			all := *h
			all.n *= more
			s.decide(new(Verdict), sh, &all)
			first.count += int(more)
		}
		charged = true // so the next may be told something else
	}
	for count -= first.count; count > 0; count-- {
		if !charged {
			r.parts[r.used-1].count += count
			return
		}
		var v Verdict
		charged = s.decide(&v, sh, h)
		r.append(&v, 1)
	}
}

// stand notes how each limit stands now, and returns how often more they have room
// for the hit.
func (s *Store) stand(r *Run, sh *shard, h *hit) (more int64) {
	more = math.MaxInt64
	m := moment{h.now, satAdd(s.epoch, h.now)}
	for i := range h.terms[:h.plain] {
		var a account
		t := &h.terms[i]
		s.look(&a, &sh.table, t, h.digest, m)
		remaining, reset := t.left(a.state, h.now)
		r.rows[i] = row{remaining, span{ns: uint64(reset)}}
		switch {
		case !t.windowed():
			r.rows[i].debt = t.gcra.debt(a.state, h.now)
		case t.algorithm == SlidingWindow:
			p, _ := t.window.pair(a.state, h.now)
			r.rows[i].debt = span{uint64(t.window.per - p.into), p.current}
		}
		more = min(more, remaining/h.n)
	}
	r.limits = h.plain
	return more
}
