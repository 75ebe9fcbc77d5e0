package transport

// session is what a server knows of one stream.
type session struct {
	handler Handler
	memory  *memory // of the sender
	rules   ruleCache
	lag     lag
	request request
	hit     Hit    // being decided,
	reply   Answer // and what is said to it: the handler's pointers would have them on the heap
}

// answer makes the answer to one frame.
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

// decide decides the hits of one frame, in their order. Those that were decided
// before have the same answer again. What is late, or may have been decided but is
// forgotten, is dropped.
func (s *session) decide(b []byte) (*frame, error) {
	r := &s.request
	if err := r.parse(b, &s.rules); err != nil {
		return nil, err
	}
	now := s.handler.Now()
	late := s.lag.of(r.sent, now)
	out := newFrame(replySize(r.count))
	beginReply(*out.out, r.first, r.count)
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	for i := range r.count {
		number, record := r.first+uint64(i), record(*out.out, i)
		known := s.memory.recall(number, record)
		if known == decided {
			continue
		}
		left := r.hit(&s.hit, i)
		if known == forgotten || left <= late {
			putDropped(record)
			continue
		}
		s.memory.once(s.handler, number, &s.hit, now, &s.reply, record)
	}
	return out, nil
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
	var record [verdictBytes]byte
	switch one.recall(number, record[:]) {
	case forgotten:
		return Answer{}, ErrForgotten
	case unheard:
		one.once(s.handler, number, &h, now, new(Answer), record[:])
	}
	a := Answer{Number: number}
	err := readAnswer(&a, record[:], &h)
	return a, err
}
