package cluster

import (
	"maps"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// A concurrency limit counts requests that are running. That is soft state: each
// replica knows its own requests, and tells the holder of the key's partition how
// many there are, as an absolute number, whenever that changes and once a second
// anyway. The holder grants one more while the sum is below the limit. What a
// replica hasn't repeated for three seconds is void, so a crash frees its slots. Of
// two messages of one replica the one with the higher sequence number counts, so
// they may be lost, repeated and overtake each other.
//
// A transfer of the token takes the holder's numbers along. Where a token is made
// anew each member that consents sends its own: the new holder knows them all.

const (
	slotRenewal = time.Second
	slotTerm    = 3 * slotRenewal
)

// inflight is what a node knows of requests that are running.
type inflight struct {
	mu   sync.Mutex
	own  map[bucket.Digest]*running       // on this replica
	due  map[bucket.Digest]bool           // of own: those that the holder may have to be told of
	lent map[int]map[bucket.Digest]tenant // on others: by partition, of those that are held here
	seq  uint64                           // of the last message
}

// tenant is the slots of one key, by the boot of the replica that has them.
type tenant map[handoff.Boot]slots

// slots is what a replica said that it has.
type slots struct {
	count  int64
	seq    uint64
	expire int64
}

func newInflight() *inflight {
	return &inflight{own: map[bucket.Digest]*running{}, due: map[bucket.Digest]bool{}, lent: map[int]map[bucket.Digest]tenant{}}
}

// claim is what a replica tells the holder of one key: it has so many requests
// running and wants to start so many more, of at most limit.
type claim struct {
	digest bucket.Digest
	limit  int64
	have   int64
	want   int64
	seq    uint64
}

// reply is what comes back to a claim.
type reply struct {
	grant
	held bool         // the token was there, and this is its holder's answer
	hint handoff.Boot // who may hold it, if it wasn't
	lost bool         // nothing came back
}

// grant answers a claim: so many may start, and so many run elsewhere.
type grant struct {
	granted int64
	others  int64
}

// decide answers the claim of another replica, or of this one where from is 0; ok is
// false if something newer is known of it. f.mu is held, and the token is here.
func (f *inflight) decide(from handoff.Boot, c claim, now int64) (g grant, ok bool) {
	p := ring.Partition(c.digest.Hi)
	t := f.lent[p][c.digest]
	if last, known := t[from]; known && last.seq >= c.seq {
		return grant{}, false
	}
	g.others = t.sum(from, now)
	if own := f.own[c.digest]; own != nil && from != 0 {
		g.others += own.count + own.asked // an answer from a former holder may be under way
	}
	g.granted = max(0, min(c.want, c.limit-c.have-g.others))
	if from != 0 {
		f.note(p, c.digest, from, slots{c.have + g.granted, c.seq, now + int64(slotTerm)})
	}
	return g, true
}

// sum is how many slots others than one replica have.
func (t tenant) sum(but handoff.Boot, now int64) (n int64) {
	for b, s := range t {
		if b != but && s.expire > now {
			n += s.count
		}
	}
	return n
}

// note keeps what a replica has, unless something newer is known.
func (f *inflight) note(p int, d bucket.Digest, from handoff.Boot, s slots) {
	if f.lent[p] == nil {
		f.lent[p] = map[bucket.Digest]tenant{}
	}
	if f.lent[p][d] == nil {
		f.lent[p][d] = tenant{}
	}
	if last, known := f.lent[p][d][from]; !known || last.seq < s.seq {
		f.lent[p][d][from] = s
	}
}

// forget drops what is void at now: expired, or of a partition that is no affair of
// this replica's any more.
func (f *inflight) forget(now int64, involved func(p int) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, keys := range f.lent {
		if !involved(p) {
			delete(f.lent, p)
			continue
		}
		for d, t := range keys {
			maps.DeleteFunc(t, func(_ handoff.Boot, s slots) bool { return s.expire <= now })
			if len(t) == 0 {
				delete(keys, d)
			}
		}
		if len(keys) == 0 {
			delete(f.lent, p)
		}
	}
}
