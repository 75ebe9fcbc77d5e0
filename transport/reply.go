package transport

import (
	"encoding/binary"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	replyHeader  = 16
	verdictBytes = 28 + bucket.CoreBytes

	statusAllowed  = 1 << 0
	statusDegraded = 1 << 1
	// statusDropped: the caller had given up before the hit could be decided,
	// so nothing was debited.
	statusDropped = 1 << 2
	// statusNotHeld: nothing was debited here; the hint stands in place of what
	// remains.
	statusNotHeld = 1 << 3
	// statusFields: there are fields of the verdict behind the records.
	statusFields = 1 << 4
	statusHot    = 1 << 5
)

func replySize(count int) int { return envelopeBytes + replyHeader + count*verdictBytes }

// beginReply writes the header of a reply to count hits.
func beginReply(buf []byte, first uint64, count int) {
	f := buf[envelopeBytes:]
	f[0], f[1] = version, kindReply
	binary.BigEndian.PutUint16(f[2:], uint16(count))
	binary.BigEndian.PutUint64(f[4:], first)
	binary.BigEndian.PutUint16(f[12:], verdictBytes)
	binary.BigEndian.PutUint16(f[14:], 0)
	seal(buf)
}

// record is the place of the i-th verdict in a reply.
func record(buf []byte, i int) []byte {
	return buf[envelopeBytes+replyHeader+i*verdictBytes:][:verdictBytes]
}

func putVerdict(f []byte, v *bucket.Verdict) {
	var status byte
	if v.Allowed {
		status |= statusAllowed
	}
	if v.Degraded {
		status |= statusDegraded
	}
	binary.BigEndian.PutUint32(f, uint32(status)<<24|uint32(v.Limit)<<16)
	binary.BigEndian.PutUint64(f[4:], uint64(v.Remaining))
	binary.BigEndian.PutUint64(f[12:], uint64(max(v.RetryAfter, v.Delay))) // one of them is 0
	binary.BigEndian.PutUint64(f[20:], uint64(v.ResetAfter))
	v.Receipt.PutCore(f[28:])
}

// AppendVerdict appends a verdict in the form that it has in a reply.
func AppendVerdict(b []byte, v *bucket.Verdict) []byte {
	var f [verdictBytes]byte
	putVerdict(f[:], v)
	return append(b, f[:]...)
}

// ReadVerdict reads what AppendVerdict appended, and no more, as the answer to h.
func ReadVerdict(b []byte, h Hit) (bucket.Verdict, error) {
	if len(b) != verdictBytes {
		return bucket.Verdict{}, malformed("a verdict of %d bytes", len(b))
	}
	var v bucket.Verdict
	readVerdict(&v, b, &h)
	return v, nil
}

func putAnswer(f []byte, a *Answer) {
	if !a.NotHeld {
		putVerdict(f, &a.Verdict)
		return
	}
	clear(f)
	f[0] = statusNotHeld
	binary.BigEndian.PutUint64(f[4:], a.Hint)
}

func putDropped(f []byte) {
	clear(f)
	f[0] = statusDropped
}

// reply is a received frame of verdicts.
type reply struct {
	first    uint64
	count    int
	stride   int
	verdicts []byte
	tail     []byte // the fields of the verdicts to come

	now    int64  // when it came
	at     int    // how many have been read
	record []byte // of the last that was read
	isRun  bool   // equal hits are told different things,
	run    bucket.Run
	grant  Grant // zero if the verdict has none
}

func (r *reply) parse(b []byte) error {
	f, err := unseal(b)
	if err != nil {
		return err
	}
	if len(f) < replyHeader {
		return malformed("%d bytes are no header", len(f))
	}
	if f[0] != version || f[1] != kindReply {
		return malformed("version %d, kind %d", f[0], f[1])
	}
	r.count = int(binary.BigEndian.Uint16(f[2:]))
	r.first = binary.BigEndian.Uint64(f[4:])
	r.stride = int(binary.BigEndian.Uint16(f[12:]))
	r.verdicts, r.at = f[replyHeader:], 0
	if r.stride < verdictBytes || len(r.verdicts) < r.count*r.stride {
		return malformed("%d bytes for %d verdicts of %d", len(r.verdicts), r.count, r.stride)
	}
	r.verdicts, r.tail = r.verdicts[:r.count*r.stride], r.verdicts[r.count*r.stride:]
	tail := r.tail
	for i := range r.count {
		if !r.hasFields(i) {
			continue
		}
		if _, tail, err = cutFields(tail); err != nil {
			return err
		}
	}
	if len(tail) > 0 {
		return malformed("%d bytes behind %d verdicts of %d", len(tail), r.count, r.stride)
	}
	return nil
}

func (r *reply) hasFields(i int) bool { return r.verdicts[i*r.stride]&statusFields != 0 }

// check looks at whether the reply is one to the frame.
func (r *reply) check(sent *batch) error {
	if r.first != sent.first || r.count != len(sent.calls) {
		return malformed("a reply to %d hits from %d, where %d from %d were asked", r.count, r.first, len(sent.calls), sent.first)
	}
	for i, tail := 0, r.tail; len(tail) > 0; i++ {
		if !r.hasFields(i) {
			continue
		}
		var own fields
		own, tail, _ = cutFields(tail)
		if run, ok := own.get(fieldRun); ok {
			if err := checkRun(run, 1+sent.calls[i].others); err != nil {
				return err
			}
		}
	}
	return nil
}

// next goes to the next answer, which is to h. The fields have been checked.
func (r *reply) next(h *Hit) {
	r.record, r.isRun, r.grant = r.verdicts[r.at*r.stride:][:verdictBytes], false, Grant{}
	r.at++
	if r.record[0]&statusFields == 0 {
		return
	}
	var own fields
	own, r.tail, _ = cutFields(r.tail)
	if f, ok := own.get(fieldRun); ok && r.record[0]&(statusDropped|statusNotHeld) == 0 {
		r.isRun = true
		readRun(&r.run, r.record, f, h)
	}
	if f, ok := own.get(fieldGrant); ok {
		r.grant.read(f)
	}
}

// readAnswer reads a record to a, whose verdict is zero before, as the answer to h. ErrDeadline
// says that the owner dropped the hit because its time was over.
func readAnswer(a *Answer, f []byte, h *Hit) error {
	switch {
	case f[0]&statusDropped != 0:
		return ErrDeadline
	case f[0]&statusNotHeld != 0:
		a.NotHeld, a.Hint = true, binary.BigEndian.Uint64(f[4:])
	default:
		readVerdict(&a.Verdict, f, h)
		a.Hot = f[0]&statusHot != 0
	}
	return nil
}

// readVerdict reads a record to v, which is zero before, as the answer to h.
func readVerdict(v *bucket.Verdict, f []byte, h *Hit) {
	v.Allowed, v.Degraded, v.Limit = f[0]&statusAllowed != 0, f[0]&statusDegraded != 0, f[1]
	v.Remaining = max(int64(binary.BigEndian.Uint64(f[4:])), 0)
	v.ResetAfter = max(time.Duration(binary.BigEndian.Uint64(f[20:])), 0)
	wait := max(time.Duration(binary.BigEndian.Uint64(f[12:])), 0)
	if !v.Allowed {
		v.RetryAfter = wait
		return
	}
	v.Delay = wait
	if !h.Peek {
		v.Receipt = h.Rule.Receipt(f[28:], h.Tokens)
	}
}
