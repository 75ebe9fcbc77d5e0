package transport

import "github.com/shoal-dev/shoal/bucket"

// session is what a server knows of one stream.
type session struct {
	decider
	memory  *memory // of the sender
	from    uint64
	buffers *pool
	out     frame // the last answer
	rules   ruleCache
	lag     lag
	request request
	hit     Hit // being decided
}

// answer makes the answer to one frame. It is valid until the next.
func (s *session) answer(b []byte) (*frame, error) {
	if len(b) > maxMessage {
		return nil, malformed("%d bytes, larger than max", len(b))
	}
	if kindOf(b) == kindHeartbeat {
		return s.beat(b)
	}
	return s.decide(b)
}

// beat answers a heartbeat. Between hits it keeps the estimate of the lag fresh.
func (s *session) beat(b []byte) (*frame, error) {
	sent, err := parseHeartbeat(b)
	if err != nil {
		return nil, err
	}
	s.lag.of(sent, s.handler.Now())
	return sighting(s.handler.Sight()), nil
}

// decide decides the hits of one frame, in their order.
func (s *session) decide(b []byte) (*frame, error) {
	r := &s.request
	if err := r.parse(b, &s.rules); err != nil {
		return nil, err
	}
	now := s.handler.Now()
	late := s.lag.of(r.sent, now)
	out := s.buffers.Get(r.room)
	reply := (*out)[:replySize(r.count)]
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	number := r.first
	for i := range r.count {
		left := r.hit(&s.hit, i)
		s.hit.Asker = s.from
		record := record(reply, i)
		if own := s.entry(number, left <= late, now, record); len(own) > 0 {
			var start int
			reply, start = beginFields(reply)
			reply = append(reply, own...)
			endFields(reply, start)
		}
		number += uint64(s.hit.Count)
	}
	*out = reply
	beginReply(reply, r.first, r.count)
	s.out.out = out
	return &s.out, nil
}

// entry writes the answer to the hit into its record, and returns the fields that
// belong to it until the next. What was decided before has the same answer again.
// What is late, or may have been decided but is forgotten, is dropped: of equal hits
// some of which have been decided by another way all have given up, as their time is
// the same. s.memory.mu is held.
func (s *session) entry(number uint64, late bool, now int64, record []byte) fields {
	count := s.hit.Count
	e, known := s.memory.recall(number, count)
	switch {
	case known == decided && e.first == number && int(e.count) == count:
		copy(record, e.record[:])
		return e.fields
	case known != unheard || late:
		putDropped(record)
		return nil
	}
	own, debited := s.do(&s.hit, now, record)
	if debited {
		s.memory.remember(number, count, record, own)
	}
	return own
}

// decider has hits decided. It lives on the heap with what it passes on, so that
// no hit needs to.
type decider struct {
	handler Handler
	said    Answer
	run     bucket.Run
	fields  fields
}

// do has a hit decided, and writes the answer into its record. The fields that belong
// to it are valid until the next. debited says whether anything may have been taken.
func (d *decider) do(h *Hit, now int64, record []byte) (own fields, debited bool) {
	a := &d.said
	*a = Answer{}
	if h.Count > 1 {
		d.run.Reset(h.Tokens, 1)
		a.Run = &d.run
	}
	d.handler.Decide(h, now, a)
	d.fields = d.fields[:0]
	switch {
	case a.NotHeld:
		putAnswer(record, a)
		return nil, false
	case a.Run == nil || a.Run.Parts() == 0:
		putAnswer(record, a)
		if a.Grant.Seq != 0 {
			d.fields = appendGrant(d.fields, &a.Grant)
		}
	default:
		_, first := a.Run.Part(0)
		putVerdict(record, first)
		if !a.Run.Same() {
			d.fields = appendRun(d.fields, a.Run)
		}
	}
	if a.Hot {
		record[0] |= statusHot
	}
	if len(d.fields) > 0 {
		record[0] |= statusFields
	}
	return d.fields, true
}

// DecideOnce decides a hit that the boot origin asked under a number but that has
// come by way of another peer. If the hit itself came before, its answer is
// returned and nothing is debited; if it comes later, it has this answer. The number
// is what origin's Ask returned; 0 says that the hit was never sent. ErrForgotten
// says that it may have been decided before. DecideOnce is safe for concurrent use,
// but must not be called by Decide.
func (s *Server) DecideOnce(origin, number uint64, h Hit, now int64) (Answer, error) {
	one := s.senders.join(origin)
	if one == nil {
		return Answer{}, ErrForgotten
	}
	defer s.senders.leave(origin, one)
	one.mu.Lock()
	defer one.mu.Unlock()
	a := Answer{Number: number}
	e, known := one.recall(number, 1)
	switch known {
	case forgotten:
		return Answer{}, ErrForgotten
	case decided:
		err := e.answer(&a, int(number-e.first), &h)
		return a, err
	}
	h.Count = 1
	var record [verdictBytes]byte
	d := decider{handler: s.handler}
	if _, debited := d.do(&h, now, record[:]); debited {
		one.remember(number, 1, record[:], nil)
	}
	err := readAnswer(&a, record[:], &h)
	return a, err
}

// answer writes to a, which is zero before, what was answered to the i-th hit of the
// entry, which is h.
func (e *memorized) answer(a *Answer, i int, h *Hit) error {
	f, ok := e.fields.get(fieldRun)
	if !ok {
		return readAnswer(a, e.record[:], h)
	}
	var run bucket.Run
	readRun(&run, e.record[:], f, h)
	run.At(&a.Verdict, h.Rule, i)
	return nil
}
