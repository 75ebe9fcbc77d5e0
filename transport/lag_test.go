package transport

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// trip is one frame: when it was sent and when it was read, on a clock that
// both ends share in the table though not in the test.
type trip struct {
	sent, read time.Duration
	late       time.Duration // wanted
}

const (
	ms   = time.Millisecond
	quik = 100 * time.Microsecond // the undisturbed way
)

func TestLag(t *testing.T) {
	tests := []struct {
		name  string
		trips []trip
	}{
		{"first frame", []trip{{0, quik, 0}}},
		{"steady", []trip{{0, quik, 0}, {10 * ms, 10*ms + quik, 0}, {time.Hour, time.Hour + quik, 0}}},
		{"jitter", []trip{{0, quik + ms, 0}, {10 * ms, 10*ms + quik, 0}, {20 * ms, 20*ms + quik + ms, ms}}},
		{"one held up", []trip{{0, quik, 0}, {10 * ms, 510*ms + quik, 500 * ms}, {600 * ms, 600*ms + quik, 0}}},
		{"several held up by one stall", []trip{
			{0, quik, 0},
			{10 * ms, 60*ms + quik, 50 * ms},
			{20 * ms, 60*ms + quik, 40 * ms},
			{30 * ms, 60*ms + quik, 30 * ms},
			{60 * ms, 60*ms + quik, 0},
		}},
		{"stalled for longer than any window", []trip{
			{0, quik, 0},
			{10 * ms, 50*time.Second + quik, 50*time.Second - 10*ms},
			{20 * ms, 50*time.Second + quik, 50*time.Second - 20*ms},
			{50 * time.Second, 50*time.Second + quik, 0},
			{50*time.Second + ms, 50*time.Second + quik + 2*ms, ms},
		}},
		{"stalled over the end of a window", []trip{
			{0, quik, 0},
			{9 * time.Second, 12*time.Second + quik, 3 * time.Second},
			{11 * time.Second, 12*time.Second + quik, time.Second},
			{13 * time.Second, 13*time.Second + quik, 0},
			{14 * time.Second, 15*time.Second + quik, time.Second},
		}},
		{"asker stalled between its clock and the network", []trip{
			{0, quik, 0},
			{10 * ms, 30 * time.Second, 30*time.Second - 10*ms - quik},
			{30 * time.Second, 30*time.Second + quik, 0},
		}},
		{"a way that got longer counts as the normal one after two windows", []trip{
			{0, quik, 0},
			{5 * time.Second, 5*time.Second + quik + 3*ms, 3 * ms},
			{11 * time.Second, 11*time.Second + quik + 3*ms, 3 * ms},
			{22 * time.Second, 22*time.Second + quik + 3*ms, 0},
		}},
		{"after a long silence nothing is known", []trip{
			{0, quik, 0},
			{time.Hour, time.Hour + quik + ms, 0},
			{time.Hour + ms, time.Hour + ms + quik, 0},
			{time.Hour + 2*ms, time.Hour + 2*ms + quik + ms, ms},
		}},
	}
	for _, tt := range tests {
		for _, offset := range []time.Duration{0, time.Hour, -time.Hour, 40 * 365 * 24 * time.Hour} {
			var l lag
			for i, trip := range tt.trips {
				if late := l.of(int64(trip.sent), int64(trip.read+offset)); late != trip.late {
					t.Errorf("%s, owner's clock %v ahead: frame %d is %v late, want %v", tt.name, offset, i, late, trip.late)
				}
			}
		}
	}
}

// Two clocks that run at different speeds make frames look late by no more than
// the drift over three windows, whatever the rhythm of the frames.
func TestLagOfDriftingClocks(t *testing.T) {
	const drift = 200 // µs a second
	for _, ppm := range []int64{drift, -drift} {
		for _, gap := range []time.Duration{10 * ms, time.Second, 7 * time.Second, lagWindow, lagWindow + 1, 15 * time.Second, 2 * lagWindow, 21 * time.Second, 3 * time.Minute, time.Hour} {
			var l lag
			worst := time.Duration(0)
			for sent := time.Duration(0); sent < 24*time.Hour && sent < 100_000*gap; sent += gap {
				read := sent + sent/1_000_000*time.Duration(ppm) + quik
				late := l.of(int64(sent), int64(read))
				worst = max(worst, late)
				if late < 0 {
					t.Fatalf("%d ppm, a frame every %v: early by %v", ppm, gap, -late)
				}
			}
			if limit := 3 * drift * lagWindow / 1_000_000; worst > limit {
				t.Errorf("%d ppm, a frame every %v: late by %v, want at most %v", ppm, gap, worst, limit)
			}
		}
	}
}

// What a hostile peer says of its clock harms nobody but itself.
func TestLagOfAnyClock(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 0))
	var l lag
	for range 10_000 {
		l.of(int64(rng.Uint64()), int64(rng.Uint64()>>2))
		l.of(math.MinInt64, 1<<62)
		l.of(math.MaxInt64, 0)
	}
}

// scribe is a Handler that writes down which hits it was given.
type scribe struct {
	mute
	now     int64
	decided []uint64
}

func (s *scribe) Now() int64 { return s.now }

func (s *scribe) Decide(h *Hit, _ int64, a *Answer) {
	s.decided = append(s.decided, h.Digest.Lo)
	a.Verdict = bucket.Verdict{Allowed: true, Remaining: int64(h.Digest.Lo)}
}

// What comes later than its caller waited is dropped before it is debited, and
// the reply says so.
func TestSessionDropsWhatIsLate(t *testing.T) {
	h := &scribe{}
	s := session{decider: decider{handler: h}, memory: new(memory), buffers: new(pool)}
	first := uint64(1)
	ask := func(sent, read time.Duration, left ...time.Duration) (decided []uint64, dropped int) {
		t.Helper()
		h.now, h.decided = int64(read), nil
		calls := make([]*Call, len(left))
		first += 100
		for i := range left {
			calls[i] = &Call{Hit: Hit{Digest: bucket.Digest{Lo: uint64(i)}, Rule: testRule}, expire: int64(sent + left[i])}
		}
		out, err := s.answer(encoded(t, int64(sent), first, calls...))
		if err != nil {
			t.Fatal(err)
		}
		var r reply
		if err := r.parse(*out.out); err != nil || r.count != len(left) {
			t.Fatalf("a reply to %d hits, %v", r.count, err)
		}
		for i := range left {
			switch a, err := said(&r, i); {
			case err == ErrDeadline && a == Answer{}:
				dropped++
			case err != nil || a.Verdict.Remaining != int64(i):
				t.Errorf("verdict %d: %+v, %v", i, a, err)
			}
		}
		return h.decided, dropped
	}
	tests := []struct {
		sent, read time.Duration
		left       []time.Duration
		want       []uint64
	}{
		{0, quik, []time.Duration{50 * ms, ms, 0}, []uint64{0, 1}},
		{100 * ms, 130*ms + quik, []time.Duration{50 * ms, ms, 30 * ms, 31 * ms}, []uint64{0, 3}},
		{200 * ms, 900 * ms, []time.Duration{50 * ms, 50 * ms}, nil},
		{time.Second, time.Second + quik, []time.Duration{50 * ms, 50 * ms}, []uint64{0, 1}},
	}
	for i, tt := range tests {
		decided, dropped := ask(tt.sent, tt.read, tt.left...)
		if !slices.Equal(decided, tt.want) || dropped != len(tt.left)-len(tt.want) {
			t.Errorf("frame %d: decided %v and dropped %d, want %v decided", i, decided, dropped, tt.want)
		}
	}
}
