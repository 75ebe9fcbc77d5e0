package transport

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// lender grants what is asked for, and remembers what it heard.
type lender struct {
	mute
	heard []Hit
}

func (l *lender) Decide(h *Hit, _ int64, a *Answer) {
	l.heard = append(l.heard, *h)
	a.Verdict = bucket.Verdict{Allowed: true, Remaining: 9}
	a.Hot = h.Digest.Lo%2 == 0
	if s := h.Statement; s.Seq != 0 {
		a.Grant = Grant{Seq: s.Seq, Keep: s.Have, Grant: s.Want, Left: 7, Term: time.Millisecond, Hold: time.Microsecond}
	}
}

// What hits say besides gets to the owner, whoever else is in the frame, and what it
// grants gets back, also when it is said again.
func TestStatementsAndGrants(t *testing.T) {
	state := Statement{Seq: 1 << 60, Have: 5, Back: math.MaxInt64, Want: 11}
	hits := []Hit{
		{Digest: bucket.Digest{Lo: 1}, Tokens: 1},
		{Digest: bucket.Digest{Lo: 2}, Tokens: 0, Statement: state},
		{Digest: bucket.Digest{Lo: 3}, Tokens: 1, Refused: 77},
		{Digest: bucket.Digest{Lo: 4}, Tokens: 1, Statement: Statement{Seq: 3}, Refused: 1 << 40},
		{Digest: bucket.Digest{Lo: 4}, Tokens: 1},
		{Digest: bucket.Digest{Lo: 4}, Tokens: 1},
	}
	var l line
	calls := make([]*Call, len(hits))
	for i := range hits {
		hits[i].Rule = testRule
		calls[i] = asking(hits[i], int64(time.Second))
		if !l.join(calls[i], maxQueue) {
			t.Fatal("no room in the line")
		}
	}
	if len(l.heads) != 5 {
		t.Fatalf("%d entries: who has something to say shares none, and the others do", len(l.heads))
	}
	owner := &lender{}
	s := session{decider: decider{handler: owner}, memory: new(memory), buffers: &pool{}, from: 42}
	var b batch
	b.reset(quota, 1)
	for _, c := range l.heads {
		if !b.add(c) {
			t.Fatal("no room in the frame")
		}
	}
	buf := make([]byte, b.bytes)
	b.encode(buf, 0)
	for again := range 2 {
		out, err := s.answer(buf)
		if err != nil {
			t.Fatal(err)
		}
		var r reply
		if err := r.parse(*out.out); err != nil {
			t.Fatal(err)
		}
		if err := r.check(&b); err != nil {
			t.Fatal(err)
		}
		for _, c := range l.heads {
			var a Answer
			r.next(&c.Hit)
			if err := readAnswer(&a, r.record, &c.Hit); err != nil || !a.Verdict.Allowed || a.Hot != (c.Hit.Digest.Lo%2 == 0) {
				t.Errorf("answer %d to %+v: %+v, %v", again, c.Hit, a, err)
			}
			want := Grant{}
			if s := c.Hit.Statement; s.Seq != 0 {
				want = Grant{Seq: s.Seq, Keep: s.Have, Grant: s.Want, Left: 7, Term: time.Millisecond, Hold: time.Microsecond}
			}
			if r.grant != want {
				t.Errorf("answer %d grants %+v, want %+v", again, r.grant, want)
			}
		}
	}
	if len(owner.heard) != 5 {
		t.Fatalf("the owner decided %d hits, want 5, once", len(owner.heard))
	}
	for i, h := range owner.heard {
		if h.Statement != hits[i].Statement || h.Refused != min(hits[i].Refused, math.MaxUint32) || h.Asker != 42 || h.Count != 1+i/4 {
			t.Errorf("heard %+v of %+v", h, hits[i])
		}
	}
}

// Fields that are too short say nothing, and numbers that can't be are 0.
func TestStrangeStatementsAndGrants(t *testing.T) {
	var h Hit
	f := appendField(nil, fieldStatement, statementBytes-1)
	f = append(f, make([]byte, statementBytes-1)...)
	h.hear(append(appendField(f, fieldRefused, 1), 9))
	if h.Speaks() {
		t.Errorf("%+v", h)
	}
	var g Grant
	b := make([]byte, grantBytes)
	for i := range grantBytes / 8 {
		binary.BigEndian.PutUint64(b[8*i:], math.MaxUint64-uint64(i))
	}
	if g.read(b[1:]); g != (Grant{}) {
		t.Errorf("a short one: %+v", g)
	}
	if g.read(b); g != (Grant{Seq: math.MaxUint64}) {
		t.Errorf("negative: %+v", g)
	}
}
