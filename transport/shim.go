package transport

func (p *Peer) Alive() bool                  { return p.Connected() }
func (p *Peer) View() (hash uint64, at int64) { return p.config.View(), 1 }
func (s *Server) DecideOnce(origin, number uint64, h Hit, now int64) (Answer, error) {
	return s.handler.Decide(h, now), nil
}
