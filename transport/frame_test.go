package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/shoal-dev/shoal/bucket"
)

var testRule = bucket.MustRule("api", "100/second")

// encoded is the frame in which the calls leave at the time now.
func encoded(t testing.TB, now int64, first uint64, calls ...*Call) []byte {
	t.Helper()
	var b batch
	b.reset(quota, first)
	for i, c := range calls {
		if !b.add(c) {
			t.Fatalf("no room for call %d", i)
		}
	}
	buf := make([]byte, b.bytes)
	b.encode(buf, now)
	return buf
}

// parsed is what an owner reads in a frame.
func parsed(t testing.TB, frame []byte) (r request, hits []Hit, left []time.Duration) {
	t.Helper()
	if err := r.parse(frame, new(ruleCache)); err != nil {
		t.Fatal(err)
	}
	for i := range r.count {
		h, l := read(&r, i)
		hits, left = append(hits, h), append(left, l)
	}
	return r, hits, left
}

// read is the i-th hit of a request, and the time left to it.
func read(r *request, i int) (h Hit, left time.Duration) {
	left = r.hit(&h, i)
	return h, left
}

func wire(r *bucket.Rule) string {
	b, _ := r.AppendBinary(nil)
	return string(b)
}

// randomRules makes n rules of up to eight limits.
func randomRules(rng *rand.Rand, n int) []*bucket.Rule {
	rules := make([]*bucket.Rule, n)
	for i := range rules {
		limits := make([]bucket.Limit, 1+rng.IntN(bucket.MaxLimits))
		for j := range limits {
			limits[j] = bucket.Limit{Count: rng.Int64N(1000), Per: time.Duration(1 + rng.IntN(1000))}
		}
		rules[i], _ = bucket.NewRule("rule", limits)
	}
	return rules
}

func randomCalls(rng *rand.Rand, n int, now int64, rules []*bucket.Rule) []*Call {
	calls := make([]*Call, n)
	for i := range calls {
		calls[i] = &Call{
			Hit:    Hit{Digest: bucket.Digest{Hi: rng.Uint64(), Lo: rng.Uint64()}, Rule: rules[rng.IntN(len(rules))], Tokens: int64(rng.Uint64()), Orphan: rng.IntN(2) == 0, Peek: rng.IntN(2) == 0},
			expire: now + rng.Int64N(int64(time.Minute)),
		}
	}
	return calls
}

// The bytes are those that shoal.proto describes.
func TestRequestBytes(t *testing.T) {
	frame := encoded(t, 0x0102030405060708, 0x1112131415161718,
		&Call{Hit: Hit{Digest: bucket.Digest{Hi: 0x2122232425262728, Lo: 0x3132333435363738}, Rule: testRule, Tokens: 5}, expire: 0x0102030405060708 + int64(50*ms) + 999},
		&Call{Hit: Hit{Digest: bucket.Digest{Hi: 1, Lo: 2}, Rule: testRule, Tokens: -1, Orphan: true}, expire: 0},
	)
	size := testRule.BinarySize()
	length := 24 + 2 + size + 2*32
	want := "0a" + fmt.Sprintf("%02x%02x8000", length&0x7f|0x80, length>>7|0x80) + // field 1
		"01" + "01" + "0002" + "1112131415161718" + "0102030405060708" + "0020" + "0001" +
		fmt.Sprintf("%04x", size) + hex.EncodeToString([]byte(wire(testRule))) +
		"2122232425262728" + "3132333435363738" + "0000000000000005" + "0000c350" + "0000" + "0000" +
		"0000000000000001" + "0000000000000002" + "ffffffffffffffff" + "00000000" + "0000" + "0001"
	if got := hex.EncodeToString(frame); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
}

func TestFramesAreProtobuf(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 0))
	var frames [][]byte
	for _, n := range []int{1, 2, 3, 64, 500, 512, 1024} {
		frames = append(frames, encoded(t, 0, 0, randomCalls(rng, n, 0, randomRules(rng, 10))...))
		reply := make([]byte, replySize(n))
		beginReply(reply, 0, n)
		frames = append(frames, reply)
	}
	for _, frame := range frames {
		field, kind, n := protowire.ConsumeTag(frame)
		inner, m := protowire.ConsumeBytes(frame[max(n, 0):])
		if n < 0 || m < 0 || field != 1 || kind != protowire.BytesType || n+m != len(frame) {
			t.Fatalf("field %d of type %d, %d+%d bytes of %d", field, kind, n, m, len(frame))
		}
		if !bytes.Equal(inner, frame[envelopeBytes:]) {
			t.Fatal("the field is not the frame")
		}
		// A tool that writes protobuf has no padding in the length.
		var message wrapperspb.BytesValue // the same fields as Frame
		if err := proto.Unmarshal(frame, &message); err != nil {
			t.Fatal(err)
		}
		again, err := proto.Marshal(&message)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unseal(again); err != nil || !bytes.Equal(got, inner) {
			t.Errorf("unseal of protobuf's own encoding: %v", err)
		}
	}
}

func TestRequestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 0))
	for range 60 {
		now := rng.Int64N(1 << 61)
		calls := randomCalls(rng, 1+rng.IntN(200), now, randomRules(rng, 1+rng.IntN(maxFrameRules)))
		first := rng.Uint64()
		r, hits, left := parsed(t, encoded(t, now, first, calls...))
		if r.first != first || r.sent != now || r.count != len(calls) {
			t.Fatalf("header %+v", r)
		}
		for i, c := range calls {
			want := c.Hit
			want.Rule, want.Count = hits[i].Rule, 1
			if hits[i] != want || wire(hits[i].Rule) != wire(c.Hit.Rule) {
				t.Fatalf("hit %d is %+v, want %+v", i, hits[i], c.Hit)
			}
			if want := time.Duration(c.expire - now).Truncate(time.Microsecond); left[i] != want {
				t.Fatalf("hit %d has %v left, want %v", i, left[i], want)
			}
		}
	}
}

func TestMicroseconds(t *testing.T) {
	for _, tt := range []struct {
		ns   int64
		want uint32
	}{
		{0, 0}, {-1, 0}, {math.MinInt64, 0}, {999, 0}, {1000, 1}, {1999, 1},
		{1000 * math.MaxUint32, math.MaxUint32}, {1000*math.MaxUint32 + 1000, math.MaxUint32}, {math.MaxInt64, math.MaxUint32},
	} {
		if got := microseconds(tt.ns); got != tt.want {
			t.Errorf("microseconds(%d) = %d, want %d", tt.ns, got, tt.want)
		}
	}
}

func TestBatchIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 0))
	big := make([]*bucket.Rule, maxFrameRules+1) // of the largest size
	for i := range big {
		big[i] = bucket.MustRule("r", strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d/second;", i+1), bucket.MaxLimits), ";"))
	}
	if room := envelopeBytes + requestHeader + ruleHeader + bucket.MaxRuleBytes + hitBytes; room > quota/2 {
		t.Errorf("a hit with the largest rule takes %d bytes; ready leaves room for %d", room, quota/2)
	}
	fill := func(budget int, rules []*bucket.Rule) *batch {
		var b batch
		b.reset(budget, 1)
		for i := 0; b.add(randomCalls(rng, 1, 0, rules[i%len(rules):i%len(rules)+1])[0]); i++ {
		}
		if b.bytes > budget || b.bytes > quota {
			t.Errorf("%d bytes, over the budget of %d", b.bytes, budget)
		}
		buf := make([]byte, b.bytes)
		b.encode(buf, 0)
		if _, hits, _ := parsed(t, buf); len(hits) != len(b.calls) {
			t.Errorf("%d hits in the frame, want %d", len(hits), len(b.calls))
		}
		return &b
	}
	if b := fill(quota, big[:1]); len(b.calls) != maxFrameHits {
		t.Errorf("%d hits of one rule", len(b.calls))
	}
	if b := fill(quota, big[:maxFrameRules]); len(b.calls) != maxFrameHits || len(b.rules) != maxFrameRules {
		t.Errorf("%d hits of %d rules in the largest frame", len(b.calls), len(b.rules))
	}
	if b := fill(quota, big); len(b.calls) != maxFrameRules {
		t.Errorf("%d hits before the first of a 65th rule", len(b.calls))
	}
	// The least room that newBatch leaves.
	if b := fill(quota/2, big); len(b.calls) == 0 {
		t.Error("no room for a hit")
	}
	for range 30 {
		fill(quota/2+rng.IntN(quota/2), randomRules(rng, 1+rng.IntN(80)))
	}
}

// change returns a copy of the frame with bytes at an offset from its header
// overwritten.
func change(frame []byte, at int, by ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[envelopeBytes+at:], by)
	return frame
}

// sealed puts the envelope around a frame.
func sealed(inner ...byte) []byte {
	b := append(make([]byte, envelopeBytes), inner...)
	seal(b)
	return b
}

// answeredAtLength is a frame of hits that each stand for two, more than add lets
// into one.
func answeredAtLength(t testing.TB, calls []*Call) []byte {
	inner := slices.Clone(encoded(t, 1000, 7, calls...)[envelopeBytes:])
	first := len(inner) - len(calls)*hitBytes
	for i := range calls {
		inner[first+i*hitBytes+31] |= flagFields
	}
	for range calls {
		inner = append(inner, 0, 7, fieldCount, 0, 4, 0, 0, 0, 2)
	}
	return sealed(inner...)
}

// hostileRequests are frames that no owner may accept, and a part of the error.
func hostileRequests(t testing.TB) map[string][2]string {
	good := encoded(t, 1000, 7, &Call{Hit: Hit{Rule: testRule}}, &Call{Hit: Hit{Rule: testRule}})
	inner := good[envelopeBytes:]
	size := testRule.BinarySize()
	firstHit := requestHeader + ruleHeader + size
	frames := map[string][2]string{}
	add := func(name, want string, frame []byte) { frames[name] = [2]string{string(frame), want} }
	add("empty", "not a Frame", nil)
	add("another field", "not a Frame", append([]byte{2<<3 | 2}, good[1:]...))
	add("another type", "not a Frame", append([]byte{1 << 3}, good[1:]...))
	add("tag alone", "length field", []byte{0x0a})
	add("length without end", "length field", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	add("length of 2⁶⁴-1", "length field", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	add("a byte less", "length field", good[:len(good)-1])
	add("a byte more", "length field", append(slices.Clone(good), 0))
	add("no header", "no header", sealed(inner[:requestHeader-1]...))
	add("nothing inside", "no header", sealed())
	add("version 0", "version 0", change(good, 0, 0))
	add("version 2", "version 2", change(good, 0, 2))
	add("a reply", "kind 2", change(good, 1, kindReply))
	add("no hits", "0 hits", change(good, 2, 0, 0))
	add("a hit less", "32 bytes behind 1 hits", change(good, 2, 0, 1))
	add("a hit more", "bytes for 3 hits", change(good, 2, 0, 3))
	add("too many hits", "65535 hits", change(good, 2, 0xff, 0xff))
	add("records of 0", "hits of 0 bytes", change(good, 20, 0, 0))
	add("records of 31", "hits of 31 bytes", change(good, 20, 0, 31))
	add("records of 33", "hits of 33", change(good, 20, 0, 33))
	add("no hits at all", "0 hits", sealed(change(change(good[:envelopeBytes+requestHeader], 2, 0, 0), 22, 0, 0)[envelopeBytes:]...))
	add("one hit too many", "1025 hits", sealed(slices.Concat(change(good, 2, 4, 1)[envelopeBytes:][:firstHit], make([]byte, 1025*hitBytes))...))
	add("65 rules", "65 rules", change(good, 22, 0, 65))
	add("no rule", "rule 0 of 0", change(good, 22, 0, 0))
	add("two rules", "rule", change(good, 22, 0, 2))
	add("end before the rules", "beyond the end", sealed(inner[:requestHeader]...))
	add("end in the length of a rule", "beyond the end", sealed(inner[:requestHeader+1]...))
	add("rule beyond the end", "beyond the end", change(good, requestHeader, 0xff, 0xff))
	add("rule of half a limit", "encoding of a rule", change(good, requestHeader, 0, byte(size/2)))
	add("rule without limits", "encoding of a rule", change(good, requestHeader, 0, 0))
	add("rule of nonsense", "encoding of a rule", change(good, requestHeader+ruleHeader, bytes.Repeat([]byte{0xff}, size)...))
	add("end in a rule", "beyond the end", sealed(inner[:requestHeader+20]...))
	add("end before the hits", "bytes for 2 hits", sealed(inner[:firstHit]...))
	add("end in a hit", "bytes for 2 hits", sealed(inner[:firstHit+40]...))
	add("half a heartbeat", "no heartbeat", sealed(version, kindHeartbeat, 0, 0, 1, 2, 3))
	add("a heartbeat of version 2", "version 2", change(*heartbeat(1).out, 0, 2))
	add("an answer to a heartbeat", "no header", *sighting(Sight{}).out)
	equals := encoded(t, 1000, 7, &Call{Hit: Hit{Rule: testRule}, others: 4})
	fieldsAt := len(equals) - envelopeBytes - fieldsHeader - fieldHeader - countBytes
	add("fields beyond the end", "fields go beyond", change(equals, fieldsAt, 0, 8))
	add("bytes behind the fields", "7 bytes behind", change(equals, fieldsAt, 0, 0))
	add("a field beyond the end", "a field goes beyond", change(equals, fieldsAt+3, 0, 5))
	add("half a field", "a field goes beyond", change(equals, fieldsAt+3, 0, 2))
	add("a count of 0", "counts 00000000", change(equals, len(equals)-envelopeBytes-4, 0, 0, 0, 0))
	add("a count of 2³¹", "counts 80000000", change(equals, len(equals)-envelopeBytes-4, 0x80, 0, 0, 0))
	add("fields without any", "fields go beyond", change(good, firstHit+30, 0, flagFields))
	many := make([]*Call, 800)
	for i := range many {
		many[i] = &Call{Hit: Hit{Rule: testRule}}
	}
	add("answers that are too long", "an answer of up to", answeredAtLength(t, many))
	add("rule 1 of 1", "rule 1 of 1", change(good, firstHit+28, 0, 1))
	add("rule 65535 of 1, in the last hit", "rule 65535 of 1", change(good, firstHit+hitBytes+28, 0xff, 0xff))
	return frames
}

func TestHostileRequests(t *testing.T) {
	for name, f := range hostileRequests(t) {
		s := session{decider: decider{handler: &scribe{now: 1 << 40}}, memory: new(memory), buffers: new(pool)}
		out, err := s.answer([]byte(f[0]))
		if out != nil || !errors.Is(err, errMalformed) || !strings.Contains(err.Error(), f[1]) {
			t.Errorf("%s: error %v, want one with %q", name, err, f[1])
		}
	}
}

// A later version may append to the records and use what is reserved.
func TestLaterVersionOfRequest(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 0))
	calls := randomCalls(rng, 50, 0, randomRules(rng, 3))
	for _, c := range calls {
		c.expire = int64(time.Second)
	}
	old := encoded(t, 0, 9, calls...)
	_, want, _ := parsed(t, old)
	records := len(old) - envelopeBytes - len(calls)*hitBytes
	inner := slices.Clone(old[envelopeBytes:][:records])
	inner[21] = hitBytes + 8
	for i := range calls {
		inner = append(inner, old[envelopeBytes+records+i*hitBytes:][:hitBytes]...)
		inner[len(inner)-2] |= 0xff // flags of later versions
		inner[len(inner)-1] |= 0xff &^ (flagOrphan | flagPeek | flagFields)
		inner = binary.BigEndian.AppendUint64(inner, rng.Uint64())
	}
	_, got, _ := parsed(t, sealed(inner...))
	for i := range want {
		got[i].Rule, want[i].Rule = nil, nil
		if got[i] != want[i] {
			t.Fatalf("hit %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Whatever arrives, parsing it neither panics nor makes more of it than there
// is, and what passes is the same when it is sent on.
func FuzzRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(11, 0))
	for range 10 {
		f.Add(encoded(f, 5, rng.Uint64(), randomCalls(rng, 1+rng.IntN(30), 5, randomRules(rng, 5))...))
	}
	equals := randomCalls(rng, 9, 5, randomRules(rng, 2))
	for i, c := range equals {
		c.others = i / 2
	}
	f.Add(encoded(f, 5, 1, equals...))
	for _, frame := range hostileRequests(f) {
		if len(frame[0]) < 4<<10 { // large ones take the fuzzer minutes to shrink
			f.Add([]byte(frame[0]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r request
		if err := r.parse(b, new(ruleCache)); err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if r.count > maxFrameHits || r.count*hitBytes > len(b) || len(r.rules) > maxFrameRules {
			t.Fatalf("%d hits and %d rules in %d bytes", r.count, len(r.rules), len(b))
		}
		var calls []*Call
		for i := range r.count {
			h, left := read(&r, i)
			calls = append(calls, &Call{Hit: h, expire: r.sent + int64(left), others: h.Count - 1})
		}
		again, hits, left := parsed(t, encoded(t, r.sent, r.first, calls...))
		if again.first != r.first || again.sent != r.sent || len(hits) != len(calls) {
			t.Fatalf("header %+v became %+v", r, again)
		}
		for i, c := range calls {
			want := c.Hit
			want.Rule = hits[i].Rule
			if hits[i] != want || wire(hits[i].Rule) != wire(c.Hit.Rule) || int64(left[i]) != c.expire-r.sent {
				t.Fatalf("hit %d, %+v, became %+v", i, c, hits[i])
			}
		}
	})
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 0))
	calls := randomCalls(rng, 64, 0, randomRules(rng, 4))
	var b batch
	var rules ruleCache
	var r request
	buf := make([]byte, quota)
	round := func() {
		b.reset(quota, 1)
		for _, c := range calls {
			b.add(c)
		}
		b.encode(buf[:b.bytes], 0)
		if err := r.parse(buf[:b.bytes], &rules); err != nil {
			t.Fatal(err)
		}
		var h Hit
		for i := range r.count {
			if r.hit(&h, i); h.Rule == nil {
				t.Fatal("no rule")
			}
		}
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("encoding and reading 64 hits makes %v allocations", n)
	}
}

// The owner's whole part in a frame: the reply and its envelope, however many
// hits.
func TestAnsweringAllocatesByTheFrame(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 0))
	for _, n := range []int{1, 64, 1024} {
		s := session{decider: decider{handler: mute{}}, memory: new(memory), buffers: new(pool)}
		frame := encoded(t, 0, 0, randomCalls(rng, n, int64(time.Second), randomRules(rng, 4))...)
		first := uint64(1)
		answer := func() {
			binary.BigEndian.PutUint64(frame[envelopeBytes+4:], first)
			first += uint64(n)
			if _, err := s.answer(frame); err != nil {
				t.Fatal(err)
			}
		}
		for first < 2*memorySize { // its pages are made
			answer()
		}
		if allocs := testing.AllocsPerRun(20, answer); allocs > 4 {
			t.Errorf("answering %d hits makes %v allocations", n, allocs)
		}
	}
}

// mute allows everything, and answers no call.
type mute struct{}

func (mute) Now() int64                        { return 0 }
func (mute) Sight() Sight                      { return Sight{} }
func (mute) Decide(_ *Hit, _ int64, a *Answer) { a.Verdict.Allowed = true }
func (mute) Call(context.Context, uint64, uint8, []byte) ([]byte, error) {
	return nil, errors.New("no calls")
}
