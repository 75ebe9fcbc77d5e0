package cluster

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// Whatever a peer sends is answered, or refused with an error.
func FuzzCall(f *testing.F) {
	n, err := Start(f.Context(), Config{Name: "a", Bind: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = n.Close(context.Background()) })
	for n.parts.metrics().Held < ring.Partitions {
		time.Sleep(time.Millisecond)
	}
	rule := bucket.MustRule("api", "5/hour")
	h := &transport.Hit{Digest: n.store.Digest(rule, "alice"), Rule: rule, Tokens: 1}
	v, _ := decision(n.decide, h, n.now())
	copied, _ := n.store.AppendCopy(nil, partition(h), n.now())
	slots := appendSlots(nil, h.Digest, 7, slots{2, 3, n.now() + 1}, n.now())
	to := make([]byte, 8)
	for i := range to {
		to[i] = byte(n.parts.self >> (56 - 8*i))
	}
	for kind := handoff.Transfer; kind <= handoff.Unsure; kind++ {
		m := move{handoff.Message{Kind: kind, Version: handoff.Version{Counter: 9, Boot: 7}}, partition(h), copied, slots}
		f.Add(uint64(7), uint8(callMoves), appendMove(to, m))
	}
	changes := appendChanges(nil, partition(h), handoff.Version{Counter: 1}, copied)
	f.Add(uint64(7), uint8(callChanges), appendChanges(changes, 1, handoff.Version{Counter: 1}, nil))
	f.Add(uint64(7), uint8(callRelay), encodeRelay(n.parts.self, 7, 1, time.Second, h))
	f.Add(uint64(7), uint8(callRelay), encodeRelay(8, 7, 1, time.Second, h))
	f.Add(uint64(7), uint8(callSlots), appendClaim(nil, claim{h.Digest, 2, 1, 1, 4}))
	f.Add(uint64(7), uint8(callRefund), encodeRefund(rule, h.Digest, v.Receipt))
	reset, _ := rule.AppendBinary(appendDigest(nil, h.Digest))
	f.Add(uint64(7), uint8(callReset), reset)
	f.Add(uint64(7), uint8(99), []byte{})
	f.Fuzz(func(t *testing.T, from uint64, kind uint8, payload []byte) {
		sent := bytes.Clone(payload)
		answer, err := (answering{n}).Call(t.Context(), from, kind, payload)
		if err != nil && len(answer) > 0 && kind != callMoves {
			t.Errorf("an answer of %d bytes, and %v", len(answer), err)
		}
		if !bytes.Equal(sent, payload) {
			t.Error("the payload was changed")
		}
		if m := n.Metrics().Handoff; m.Held+m.Sending+m.Doubtful > ring.Partitions {
			t.Errorf("%+v", m)
		}
	})
}

// A batch of moves is what was written, or an error: never more than there is.
func FuzzMoves(f *testing.F) {
	one := move{handoff.Message{
		Kind: handoff.Refuse, Leaving: true, From: 7, To: 8, View: 6,
		Version: handoff.Version{Counter: 1, Boot: 2}, Fence: handoff.Version{Counter: 3, Boot: 4},
	}, 4095, []byte("copied"), []byte("slots")}
	f.Add(appendMove(nil, one))
	f.Add(appendMove(appendMove(nil, one), move{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			m, after, err := cutMove(rest, 7, 8)
			if err != nil {
				if !errors.Is(err, errMoves) {
					t.Error(err)
				}
				return
			}
			if m.From != 7 || m.To != 8 || m.partition >= ring.Partitions {
				t.Errorf("%+v", m)
			}
			if again := appendMove(nil, m); len(again) != len(rest)-len(after) {
				t.Errorf("%d bytes of %d", len(again), len(rest)-len(after))
			}
			rest = after
		}
	})
}

func TestMovesOnTheWire(t *testing.T) {
	want := move{handoff.Message{
		Kind: handoff.Refuse, Leaving: true, From: 7, To: 8, View: 6,
		Version: handoff.Version{Counter: 1, Boot: 2}, Fence: handoff.Version{Counter: 3, Boot: 4},
	}, 4095, []byte("copied"), []byte("slots")}
	b := appendMove(nil, want)
	got, rest, err := cutMove(b, 7, 8)
	if err != nil || len(rest) > 0 || got.Message != want.Message || got.partition != 4095 ||
		string(got.copied) != "copied" || string(got.slots) != "slots" {
		t.Errorf("%+v, %q, %v", got, rest, err)
	}
	for cut := range b {
		if _, _, err := cutMove(b[:cut], 7, 8); !errors.Is(err, errMoves) {
			t.Errorf("%d of %d bytes: %v", cut, len(b), err)
		}
	}
}

// What a peer sends wrongly is refused by name, and moves nothing.
func TestMalformedCalls(t *testing.T) {
	n := start(t, Config{Bind: "127.0.0.1:0"})
	eventually(t, 10*time.Second, "all partitions are held", func() bool { return n.parts.metrics().Held == ring.Partitions })
	self := make([]byte, 8)
	for i := range self {
		self[i] = byte(n.parts.self >> (56 - 8*i))
	}
	digest := bucket.Digest{Hi: 1 << 52}
	many := appendSlots(nil, digest, 7, slots{count: math.MaxInt64, expire: n.now()}, n.now())
	for what, c := range map[string]struct {
		kind    uint8
		payload []byte
		want    error
	}{
		"moves without a receiver":       {callMoves, self[1:], errMoves},
		"moves to another":               {callMoves, make([]byte, 8), errNotMe},
		"half a move":                    {callMoves, append(bytes.Clone(self), 1), errMoves},
		"a move with half a slot":        {callMoves, appendMove(bytes.Clone(self), move{partition: 1, slots: many[1:]}), errSlots},
		"slots of another partition":     {callMoves, appendMove(bytes.Clone(self), move{partition: 2, slots: many}), errSlots},
		"more slots than can be":         {callMoves, appendMove(bytes.Clone(self), move{partition: 1, slots: many}), errSlots},
		"half a change":                  {callChanges, []byte{1}, errMoves},
		"a relayed hit's half":           {callRelay, make([]byte, relayHeader-1), errRelay},
		"a relayed hit without a rule":   {callRelay, append(bytes.Clone(self), make([]byte, relayHeader-8)...), errRelay},
		"a relayed hit for nobody":       {callRelay, bytes.Repeat([]byte{1}, relayHeader), errNotMe},
		"half a claim":                   {callSlots, make([]byte, claimRecord-1), errSlots},
		"too many claims":                {callSlots, make([]byte, (maxClaims+1)*claimRecord), errSlots},
		"a claim of less than nothing":   {callSlots, appendClaim(nil, claim{have: -1}), errSlots},
		"a claim of more than there are": {callSlots, appendClaim(nil, claim{want: maxSlots + 1}), errSlots},
		"half a refund":                  {callRefund, make([]byte, refundHeader-1), errRequest},
		"half a reset":                   {callReset, make([]byte, digestBytes-1), errRequest},
		"an unknown kind":                {99, nil, errNoSuch},
	} {
		if answer, err := (answering{n}).Call(t.Context(), 7, c.kind, c.payload); !errors.Is(err, c.want) || len(answer) > 0 {
			t.Errorf("%s: %q, %v; want %v", what, answer, err, c.want)
		}
	}
	for _, kind := range []uint8{callRefund, callReset} {
		if _, err := (answering{n}).Call(t.Context(), 7, kind, make([]byte, 200)); err == nil {
			t.Errorf("a call of kind %d without a rule", kind)
		}
	}
	malformed := appendChanges(nil, 1, handoff.Version{}, []byte("nonsense"))
	if _, err := (answering{n}).Call(t.Context(), 7, callChanges, malformed); err == nil || n.parts.kept[1].Load() != 0 {
		t.Errorf("a malformed copy: %v, kept of %d", err, n.parts.kept[1].Load())
	}
	if n.parts.metrics().Held != ring.Partitions {
		t.Error("tokens have moved")
	}
}

// Sums of what peers say don't overflow.
func TestManySlots(t *testing.T) {
	f, d := newInflight(), bucket.Digest{Hi: 1 << 52}
	for boot := range handoff.Boot(100) {
		if err := f.merge(1, appendSlots(nil, d, boot+2, slots{maxSlots, 1, 1000}, 0), 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	if g, ok := f.decide(200, claim{digest: d, limit: 5, want: 5, seq: 1}, 0); !ok || g.granted != 0 || g.others != 100*maxSlots {
		t.Errorf("%+v, %v", g, ok)
	}
	var b []byte
	if a := readGrant(appendGrant(b, grant{math.MaxInt64, -1}, true, 0)); a != (reply{grant: grant{maxSlots, maxSlots}, held: true}) {
		t.Errorf("%+v", a)
	}
	if a := readGrant(appendGrant(b, grant{}, false, 9)); a != (reply{hint: 9}) {
		t.Errorf("%+v", a)
	}
}
