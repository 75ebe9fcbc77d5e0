package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/handoff"
)

// Whoever knows the secret comes as far as to a handshake. The door lets only members
// ask, copy, transfer or claim: boots of which gossip has told, by the certificate that
// gossip says is theirs. A newcomer may be heard here before the news of it; it waits
// at the door until that comes, within a tenth of a second mostly. A boot that gossip
// has given up, perhaps by mistake, may go on for a while.

var (
	errNoMember = errors.New("cluster: not a member, as far as gossip tells here")
	errForeign  = errors.New("cluster: the certificate is not that of the member that it claims to be")
	errChanged  = errors.New("cluster: a boot's name, address or certificate can't change")
	errCrowd    = errors.New("cluster: too many members")
)

// maxBoots bounds the boots that are remembered, so that a member that has gone mad
// can't fill the memory with inventions.
const maxBoots = 4096

// door knows who may ask. The zero value knows nobody.
type door struct {
	now func() int64 // the node's clock

	mu    sync.Mutex
	known map[handoff.Boot]*guest
	news  chan struct{} // closed when a boot is new; nil while nobody waits for one
}

// guest is a boot of which gossip has told.
type guest struct {
	meta meta
	lost bool  // gossip has given it up
	gone int64 // since when
}

// NotifyAlive is asked by memberlist before it believes that a boot is alive, or has
// changed. What a boot said first of its name, address and certificate holds for as
// long as it lives: nobody can turn its callers away by news of it, however forged.
func (d *door) NotifyAlive(n *memberlist.Node) error {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return nil // others may gossip too; they are no members
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.known[bootID(n.Name)]
	switch {
	case first == nil && len(d.known) >= maxBoots && !d.forget():
		return errCrowd
	case first == nil:
		return nil
	case m.name != first.meta.name || m.address != first.meta.address || m.print != first.meta.print:
		return errChanged
	}
	return nil
}

// note keeps what gossip says of a boot; nil is that it has gone.
func (d *door) note(boot string, l *living) {
	id := bootID(boot)
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.known[id]
	if l == nil {
		if g != nil {
			g.lost, g.gone = true, d.now()
		}
		d.forget()
		return
	}
	m, err := decodeMeta(l.meta)
	if err != nil {
		return
	}
	if g != nil {
		g.lost = false
		return
	}
	if d.known == nil {
		d.known = map[handoff.Boot]*guest{}
	}
	d.known[id] = &guest{meta: m}
	if d.news != nil {
		close(d.news)
		d.news = nil
	}
}

// forget drops those that have been gone for long, and reports whether there were any.
// d.mu is held.
func (d *door) forget() (any bool) {
	for id, g := range d.known {
		if g.lost && d.now()-g.gone > int64(goneTime) {
			delete(d.known, id)
			any = true
		}
	}
	return any
}

// look returns what is known of a boot, or else what is closed when another is known.
func (d *door) look(id handoff.Boot) (*guest, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.known[id]; g != nil {
		return g, nil
	}
	if d.news == nil {
		d.news = make(chan struct{})
	}
	return nil, d.news
}

// admit waits until a boot is known, or ctx is done, and makes sure of its certificate,
// of which der is nil where there is none.
func (d *door) admit(ctx context.Context, id handoff.Boot, der []byte) error {
	for {
		g, news := d.look(id)
		if g != nil {
			if g.meta.print != "" && (der == nil || fingerprint(der) != g.meta.print) {
				return fmt.Errorf("%w: %s", errForeign, g.meta.name)
			}
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return errNoMember
		}
	}
}
