package transport

type Sight struct{ View, Table uint64 }

func (p *Peer) Alive() bool           { return p.Connected() }
func (p *Peer) Sight() (Sight, int64) { return Sight{View: p.config.View()}, 1 }
func (s *Server) DecideOnce(origin, number uint64, h Hit, now int64) (Answer, error) {
	return s.handler.Decide(h, now), nil
}
