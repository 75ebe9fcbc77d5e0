package transport

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/shoal-dev/shoal/bucket"
)

// beats connects a peer to a link that notes when heartbeats come, and answers them
// unless it is mute. The peer lives for d.
func beats(t *testing.T, d time.Duration, mute bool, with func(p *Peer, l *link)) (at []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := still()
		p.silence = int64(time.Hour)
		p.swept(t)
		l := newLink(t, (*link).answer)
		l.beat = func(l *link) {
			at = append(at, time.Duration(p.config.Now()))
			if !mute {
				l.replies <- *sighting(Sight{}).out
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { p.follow(l) })
		if with != nil {
			wg.Go(func() { with(p, l) })
		}
		time.Sleep(d)
		l.cut()
		wg.Wait()
	})
	return at
}

func every(d time.Duration, n int) (at []time.Duration) {
	for i := range n {
		at = append(at, time.Duration(i)*d)
	}
	return at
}

func TestBeatsOfAnIdlePeer(t *testing.T) {
	if at, want := beats(t, 5*time.Second-1, false, nil), every(500*ms, 10); !slices.Equal(at, want) {
		t.Errorf("heartbeats at %v, want %v", at, want)
	}
}

// Hits that come and go between the sweeper's looks make a peer busy too.
func TestBeatsOfABusyPeer(t *testing.T) {
	at := beats(t, 5*time.Second-1, false, func(p *Peer, l *link) {
		for i := range 240 {
			askEcho(t, p, hit(i), 50*ms)
			time.Sleep(20 * ms)
		}
	})
	if want := every(250*ms, 20); !slices.Equal(at, want) {
		t.Errorf("heartbeats at %v, want %v", at, want)
	}
}

// A hit on an idle stream brings the next heartbeat forward.
func TestBeatsOfAPeerThatGetsBusy(t *testing.T) {
	at := beats(t, 2*time.Second, false, func(p *Peer, l *link) {
		time.Sleep(100 * ms)
		askEcho(t, p, hit(1), time.Hour)
		time.Sleep(1050 * ms)
		askEcho(t, p, hit(1), time.Hour)
	})
	if want := []time.Duration{0, 250 * ms, 750 * ms, 1150 * ms, 1650 * ms}; !slices.Equal(at, want) {
		t.Errorf("heartbeats at %v, want %v", at, want)
	}
}

// One that isn't answered is not followed by another.
func TestOneBeatAtATime(t *testing.T) {
	at := beats(t, 3*time.Second, true, func(p *Peer, l *link) {
		time.Sleep(1100 * ms)
		l.replies <- *sighting(Sight{}).out
	})
	if want := []time.Duration{0, 1100 * ms}; !slices.Equal(at, want) {
		t.Errorf("heartbeats at %v, want %v", at, want)
	}
}

// seer is a Handler that sees what it is told to.
type seer struct {
	mute
	mu   sync.Mutex
	sees Sight
}

func (s *seer) Sight() Sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sees
}

func TestSightIsExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &seer{sees: Sight{View: 1 << 63, Table: 2}}
		h := dialHostile(t, func(stream grpc.ServerStream) error { return deciding(stream, owner) })
		if s, heard := h.Sight(); heard != 0 || s != (Sight{}) {
			t.Errorf("before a word was said: %+v at %v", s, heard)
		}
		synctest.Wait()
		if s, heard := h.Sight(); heard == 0 || s != owner.sees {
			t.Errorf("once connected: %+v at %v", s, heard)
		}
		owner.mu.Lock()
		owner.sees = Sight{View: 3, Table: 4}
		owner.mu.Unlock()
		time.Sleep(500 * ms)
		synctest.Wait()
		if s, heard := h.Sight(); heard < int64(450*ms) || s != (Sight{View: 3, Table: 4}) {
			t.Errorf("half a second later: %+v at %v", s, time.Duration(heard))
		}
	})
}

// The bytes are those that shoal.proto describes.
func TestHeartbeatBytes(t *testing.T) {
	tests := []struct {
		got  *frame
		want string
	}{
		{heartbeat(0x0102030405060708), "0a8c808000" + "01030000" + "0102030405060708"},
		{sighting(Sight{View: 0x1112131415161718, Table: 0xf122232425262728}), "0a94808000" + "01040000" + "1112131415161718" + "f122232425262728"},
	}
	for _, tt := range tests {
		if got := hex.EncodeToString(*tt.got.out); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	sent, err := parseHeartbeat(*heartbeat(-5).out)
	if err != nil || sent != -5 {
		t.Errorf("sent at %d, %v", sent, err)
	}
}

// hostileBeats are neither heartbeats nor answers to them, and a part of the error.
func hostileBeats() map[string][2]string {
	beat, sight := *heartbeat(7).out, *sighting(Sight{View: 1, Table: 2}).out
	return map[string][2]string{
		"empty":                 {"", "not a Frame"},
		"nothing inside":        {string(sealed()), "no heartbeat"},
		"a byte":                {string(sealed(version)), "no heartbeat"},
		"half a heartbeat":      {string(sealed(beat[envelopeBytes : len(beat)-1]...)), "no heartbeat"},
		"half a sight":          {string(change(sealed(sight[envelopeBytes:len(sight)-1]...), 0, 3)), ""},
		"a byte less":           {string(sight[:len(sight)-1]), "length field"},
		"one of version 2":      {string(change(beat, 0, 2)), ""},
		"another kind":          {string(change(sight, 1, kindReply)), "kind 2"},
		"a sight of version 0":  {string(change(sight, 0, 0)), "version 0"},
		"a reply, long enough":  {string(replied(1, bucket.Verdict{})), "kind 2"},
		"protobuf of something": {"\x0a\x03abc", "no heartbeat"},
	}
}

func TestHostileBeats(t *testing.T) {
	for name, f := range hostileBeats() {
		_, errBeat := parseHeartbeat([]byte(f[0]))
		_, errSight := parseSight([]byte(f[0]))
		for _, err := range []error{errBeat, errSight} {
			if !errors.Is(err, errMalformed) || !strings.Contains(err.Error(), f[1]) {
				t.Errorf("%s: error %v, want one with %q", name, err, f[1])
			}
		}
	}
}

// A later version may append to them, and use what is reserved.
func TestLaterVersionOfBeats(t *testing.T) {
	later := func(f *frame) []byte {
		inner := slices.Clone((*f.out)[envelopeBytes:])
		inner[2], inner[3] = 0xff, 0xff
		return sealed(append(inner, 1, 2, 3)...)
	}
	if sent, err := parseHeartbeat(later(heartbeat(9))); err != nil || sent != 9 {
		t.Errorf("heartbeat of %d, %v", sent, err)
	}
	if s, err := parseSight(later(sighting(Sight{View: 5, Table: 6}))); err != nil || s != (Sight{View: 5, Table: 6}) {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzBeats(f *testing.F) {
	f.Add(*heartbeat(1).out)
	f.Add(*sighting(Sight{View: 1 << 63, Table: 1}).out)
	for _, frame := range hostileBeats() {
		f.Add([]byte(frame[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sent, errBeat := parseHeartbeat(b)
		s, errSight := parseSight(b)
		switch kind := kindOf(b); {
		case errBeat == nil && errSight == nil:
			t.Fatal("two kinds at once")
		case errBeat == nil:
			if again, err := parseHeartbeat(*heartbeat(sent).out); kind != kindHeartbeat || again != sent || err != nil {
				t.Fatalf("kind %d, %d became %d, %v", kind, sent, again, err)
			}
		case errSight == nil:
			if again, err := parseSight(*sighting(s).out); kind != kindSight || again != s || err != nil {
				t.Fatalf("kind %d, %+v became %+v, %v", kind, s, again, err)
			}
		case !errors.Is(errBeat, errMalformed) || !errors.Is(errSight, errMalformed):
			t.Fatal(errBeat, errSight)
		}
	})
}
