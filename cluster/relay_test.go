package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

// decision is a verdict of one of the ways to decide here.
func decision(decide func(*bucket.Verdict, *transport.Hit, int64) bool, h *transport.Hit, now int64) (v bucket.Verdict, ok bool) {
	ok = decide(&v, h, now)
	return v, ok
}

// here is decideHere of a single hit.
func here(n *Node) func(*bucket.Verdict, *transport.Hit, int64) bool {
	return func(v *bucket.Verdict, h *transport.Hit, now int64) bool { return n.decideHere(v, nil, h, now) }
}

// answered is what a node says to a hit of a peer.
func answered(n *Node, h *transport.Hit, now int64) (a transport.Answer) {
	answering{n}.Decide(h, now, &a)
	return a
}

// hitAt is a hit for a key whose partition a node holds.
func hitAt(n *Node, rule *bucket.Rule) *transport.Hit {
	return &transport.Hit{Digest: n.store.Digest(rule, keyOf(n, rule)), Rule: rule, Tokens: 1}
}

// A relayed hit is debited once under its number, however often it comes, and a peek
// never is.
func TestRelayedHits(t *testing.T) {
	nodes(t, 3, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		h := hitAt(ns[2], bucket.MustRule("api", "5/hour"))
		via, holder := ns[0].view.Load().boot(ns[1].gossip.boot), ns[0].view.Load().boot(ns[2].gossip.boot)
		relay := func(sent sentHit, h *transport.Hit) (bucket.Verdict, outcome) {
			return ns[0].relay(via, sent, h, ns[0].now()+int64(time.Second))
		}
		peeked := *h
		peek := &peeked
		peek.Peek = true
		for _, c := range []struct {
			what   string
			number uint64
			hit    *transport.Hit
			left   int64
		}{
			{"a peek", 0, peek, 4},
			{"a peek again", 0, peek, 4},
			{"a hit", 1 << 60, h, 4},
			{"the same", 1 << 60, h, 4},
			{"another", 1<<60 + 1, h, 3},
			{"one that was never sent", 0, h, 2},
			{"another such", 0, h, 1},
		} {
			if v, came := relay(sentHit{to: holder, number: c.number}, c.hit); came != decided || !v.Allowed || v.Remaining != c.left {
				t.Errorf("%s: outcome %d, %+v; want %d left", c.what, came, v, c.left)
			}
		}
		if m := ns[0].Metrics(); m.Relayed != 7 {
			t.Errorf("%d were relayed", m.Relayed)
		}
	})
}

// Who can't pass a hit on says so, which is all that there is to know of one that was
// never sent; of another, nobody knows.
func TestWhatBecomesOfARelayedHit(t *testing.T) {
	nodes(t, 3, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		n, h := ns[0], hitAt(ns[0], bucket.MustRule("api", "5/hour"))
		via := n.view.Load().boot(ns[1].gossip.boot)
		nobody, soon := &member{id: 7}, n.now()+int64(time.Second)
		for what, c := range map[string]struct {
			sent sentHit
			by   int64
			want outcome
		}{
			"to nobody":                     {sentHit{to: nobody}, soon, spared},
			"to nobody, sent before":        {sentHit{to: nobody, number: 9}, soon, unknown},
			"without time":                  {sentHit{to: nobody}, n.now(), unknown},
			"to one that hasn't the token":  {sentHit{to: via, number: 9}, soon, spared},
			"to one that hasn't it, unsent": {sentHit{to: via}, soon, spared},
		} {
			if v, came := n.relay(via, c.sent, h, c.by); came != c.want || v != (bucket.Verdict{}) {
				t.Errorf("%s: outcome %d, %+v; want %d", what, came, v, c.want)
			}
		}
		late, cancel := context.WithCancel(t.Context())
		cancel()
		request := encodeRelay(n.parts.self, ns[1].parts.self, 0, time.Second, h)
		if _, err := n.answerRelay(late, ns[1].parts.self, request); err == nil {
			t.Error("a hit was debited whose caller has gone")
		}
		request = request[:len(request)-1]
		if _, err := n.answerRelay(t.Context(), ns[1].parts.self, request); err == nil {
			t.Error("a hit was debited by a malformed rule")
		}
		if v, ok := decision(n.decide, h, n.now()); !ok || v.Remaining != 4 {
			t.Errorf("after hits that took nothing: %+v, %v", v, ok)
		}
	})
}
