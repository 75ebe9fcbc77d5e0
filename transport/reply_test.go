package transport

import (
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// replied is the frame that carries the verdicts.
func replied(first uint64, verdicts ...bucket.Verdict) []byte {
	b := make([]byte, replySize(len(verdicts)))
	beginReply(b, first, len(verdicts))
	for i, v := range verdicts {
		putVerdict(record(b, i), &v)
	}
	return b
}

func randomVerdict(rng *rand.Rand) bucket.Verdict {
	return waiting(bucket.Verdict{
		Allowed:    rng.IntN(2) == 0,
		Degraded:   rng.IntN(2) == 0,
		Limit:      uint8(rng.IntN(bucket.MaxLimits)),
		Remaining:  rng.Int64(),
		ResetAfter: time.Duration(rng.Int64()),
	}, time.Duration(rng.Int64()))
}

// The bytes are those that shoal.proto describes.
func TestReplyBytes(t *testing.T) {
	b := make([]byte, replySize(5))
	for i := range b {
		b[i] = 0xee // whatever was in the pool's buffer
	}
	beginReply(b, 0x1112131415161718, 5)
	putVerdict(record(b, 0), &bucket.Verdict{Allowed: true, Limit: 3, Remaining: 0x2122, ResetAfter: 0x3132})
	putVerdict(record(b, 1), &bucket.Verdict{Degraded: true, RetryAfter: bucket.Never})
	putDropped(record(b, 2))
	putVerdict(record(b, 3), &bucket.Verdict{Allowed: true, Degraded: true, Delay: 0x4142})
	putAnswer(record(b, 4), &Answer{NotHeld: true, Hint: 0xf152535455565758})
	core := strings.Repeat("00", bucket.CoreBytes) // of a receipt for nothing
	want := "0a" + "80828000" +                    // field 1, 256 bytes
		"01" + "02" + "0005" + "1112131415161718" + "0030" + "0000" +
		"01" + "03" + "0000" + "0000000000002122" + "0000000000000000" + "0000000000003132" + core +
		"02" + "00" + "0000" + "0000000000000000" + "7fffffffffffffff" + "0000000000000000" + core +
		"04" + "00" + "0000" + "0000000000000000" + "0000000000000000" + "0000000000000000" + core +
		"03" + "00" + "0000" + "0000000000000000" + "0000000000004142" + "0000000000000000" + core +
		"08" + "00" + "0000" + "f152535455565758" + "0000000000000000" + "0000000000000000" + core
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("reply\n%s, want\n%s", got, want)
	}
}

func TestReplyRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 0))
	for range 60 {
		first := rng.Uint64()
		verdicts := make([]bucket.Verdict, 1+rng.IntN(maxFrameHits))
		for i := range verdicts {
			verdicts[i] = randomVerdict(rng)
		}
		frame := replied(first, verdicts...)
		notHeld := Answer{NotHeld: true, Hint: rng.Uint64() << rng.IntN(64)}
		elsewhere := rng.IntN(len(verdicts))
		putAnswer(record(frame, elsewhere), &notHeld)
		dropped := rng.IntN(len(verdicts))
		putDropped(record(frame, dropped))
		if len(frame) > quota {
			t.Fatalf("a reply of %d bytes", len(frame))
		}
		var r reply
		if err := r.parse(frame); err != nil || r.first != first || r.count != len(verdicts) {
			t.Fatalf("%+v, %v", r, err)
		}
		for i, want := range verdicts {
			got, err := said(&r, i)
			if i == dropped {
				if !errors.Is(err, ErrDeadline) || got != (Answer{}) {
					t.Fatalf("dropped verdict %d is %+v, %v", i, got, err)
				}
			} else if i == elsewhere {
				if err != nil || got != notHeld {
					t.Fatalf("answer %d is %+v, %v; want %+v", i, got, err, notHeld)
				}
			} else if err != nil || got != (Answer{Verdict: want}) {
				t.Fatalf("verdict %d is %+v, %v; want %+v", i, got, err, want)
			}
		}
	}
}

// hostileReplies are frames that no asker may accept, and a part of the error.
func hostileReplies() map[string][2]string {
	good := replied(7, bucket.Verdict{Allowed: true}, bucket.Verdict{})
	inner := good[envelopeBytes:]
	frames := map[string][2]string{}
	add := func(name, want string, frame []byte) { frames[name] = [2]string{string(frame), want} }
	add("empty", "not a Frame", nil)
	add("garbage", "not a Frame", []byte("GET / HTTP/1.1\r\n"))
	add("a byte less", "length field", good[:len(good)-1])
	add("a byte more", "length field", append(slices.Clone(good), 0))
	add("no header", "no header", sealed(inner[:replyHeader-1]...))
	add("version 2", "version 2", change(good, 0, 2))
	add("a request", "kind 1", change(good, 1, kindHits))
	add("a verdict less", "48 bytes behind 1 verdicts", change(good, 2, 0, 1))
	add("a verdict more", "bytes for 3 verdicts", change(good, 2, 0, 3))
	add("65535 verdicts", "65535 verdicts", change(good, 2, 0xff, 0xff))
	add("records of 0", "verdicts of 0", sealed(change(good, 12, 0, 0)[envelopeBytes:][:replyHeader]...))
	add("records of 27", "verdicts of 27", sealed(change(good, 12, 0, 27)[envelopeBytes:][:replyHeader+2*27]...))
	add("records of 56 for one", "verdicts of 56", change(good, 12, 0, 56))
	add("end in a verdict", "bytes for 2 verdicts", sealed(inner[:replyHeader+30]...))
	return frames
}

func TestHostileReplies(t *testing.T) {
	for name, f := range hostileReplies() {
		var r reply
		if err := r.parse([]byte(f[0])); !errors.Is(err, errMalformed) || !strings.Contains(err.Error(), f[1]) {
			t.Errorf("%s: error %v, want one with %q", name, err, f[1])
		}
	}
}

// A later version may append to the records, and use what is reserved.
func TestLaterVersionOfReply(t *testing.T) {
	want := []bucket.Verdict{{Allowed: true, Limit: 2, Remaining: 3, ResetAfter: 4}, {RetryAfter: 5, ResetAfter: 6}}
	old := replied(7, want...)[envelopeBytes:]
	later := slices.Concat(old[:replyHeader], old[replyHeader:][:verdictBytes], []byte{1, 2, 3, 4}, old[replyHeader+verdictBytes:], []byte{5, 6, 7, 8})
	later[13] = verdictBytes + 4
	later[14], later[15] = 0xff, 0xff
	for i := range want {
		r := later[replyHeader+i*(verdictBytes+4):]
		r[0], r[2], r[3] = r[0]|0xc0, 0xff, 0xff
	}
	var r reply
	if err := r.parse(sealed(later...)); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got, err := said(&r, i); err != nil || got != (Answer{Verdict: want[i]}) {
			t.Errorf("verdict %d is %+v, %v; want %+v", i, got, err, want[i])
		}
	}
}

// Numbers that make no sense are made harmless.
func TestNegativeVerdicts(t *testing.T) {
	var r reply
	if err := r.parse(replied(0, bucket.Verdict{Limit: 255, Remaining: -1, RetryAfter: math.MinInt64, ResetAfter: -5})); err != nil {
		t.Fatal(err)
	}
	if v, err := said(&r, 0); err != nil || v != (Answer{Verdict: bucket.Verdict{Limit: 255}}) {
		t.Errorf("read as %+v, %v", v, err)
	}
}

func FuzzReply(f *testing.F) {
	rng := rand.New(rand.NewPCG(15, 0))
	for range 5 {
		frame := replied(rng.Uint64(), randomVerdict(rng), randomVerdict(rng), randomVerdict(rng))
		putAnswer(record(frame, 1), &Answer{NotHeld: true, Hint: rng.Uint64()})
		f.Add(frame)
	}
	for _, frame := range hostileReplies() {
		f.Add([]byte(frame[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r reply
		if err := r.parse(b); err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if r.count*verdictBytes > len(b) {
			t.Fatalf("%d verdicts in %d bytes", r.count, len(b))
		}
		frame := make([]byte, replySize(r.count))
		beginReply(frame, r.first, r.count)
		for i := range r.count {
			a, err := said(&r, i)
			v := a.Verdict
			if a.NotHeld && v != (bucket.Verdict{}) || !a.NotHeld && a.Hint != 0 {
				t.Fatalf("answer %+v", a)
			}
			if v.Remaining < 0 || v.RetryAfter < 0 || v.ResetAfter < 0 || v.Delay < 0 {
				t.Fatalf("verdict %+v", v)
			}
			if err != nil {
				putDropped(record(frame, i))
			} else {
				putAnswer(record(frame, i), &a)
			}
		}
		var again reply
		if err := again.parse(frame); err != nil || again.first != r.first || again.count != r.count {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
		for i := range r.count {
			v, err := said(&r, i)
			if w, errAgain := said(&again, i); v != w || !errors.Is(errAgain, err) {
				t.Fatalf("verdict %d, %+v, %v, became %+v, %v", i, v, err, w, errAgain)
			}
		}
	})
}

func TestReplyDoesNotAllocate(t *testing.T) {
	b := make([]byte, replySize(64))
	var r reply
	round := func() {
		beginReply(b, 1, 64)
		for i := range 64 {
			putVerdict(record(b, i), &bucket.Verdict{Allowed: true, Remaining: int64(i)})
		}
		if err := r.parse(b); err != nil {
			t.Fatal(err)
		}
		for i := range 64 {
			if a, err := said(&r, i); err != nil || a.Verdict.Remaining != int64(i) {
				t.Fatal(a, err)
			}
		}
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("encoding and reading 64 verdicts makes %v allocations", n)
	}
}
