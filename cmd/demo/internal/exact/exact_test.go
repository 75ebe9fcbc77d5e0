package exact

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

const ms = int64(time.Millisecond)

type admission struct{ asked, answered int64 }

// exceeds looks at every interval.
func exceeds(b Bound, admissions []admission) bool {
	for _, first := range admissions {
		for _, last := range admissions {
			n := int64(0)
			for _, a := range admissions {
				if a.asked >= first.asked && a.answered <= last.answered {
					n++
				}
			}
			if n > 0 && (n-b.Burst)*int64(b.Per) > (last.answered-first.asked)*b.Count {
				return true
			}
		}
	}
	return false
}

func count(b Bound, admissions []admission) (over int64, kept []admission) {
	var m Meter
	for _, a := range admissions {
		if m.Admit(b, a.asked, a.answered) {
			over++
		} else {
			kept = append(kept, a)
		}
	}
	return over, kept
}

func draw(t *rapid.T, instant bool) (Bound, []admission) {
	b := Bound{Count: rapid.Int64Range(1, 5).Draw(t, "count"), Per: 100 * time.Millisecond, Burst: rapid.Int64Range(1, 6).Draw(t, "burst")}
	var admissions []admission
	answered := int64(0)
	for range rapid.IntRange(0, 40).Draw(t, "n") {
		answered += rapid.Int64Range(0, 60).Draw(t, "pause") * ms
		asked := answered
		if !instant {
			asked = max(0, answered-rapid.Int64Range(0, 80).Draw(t, "took")*ms)
		}
		admissions = append(admissions, admission{asked, answered})
	}
	return b, admissions
}

// Of admissions whose instant is known the meter says exactly whether some interval
// exceeds the bound, and what it keeps doesn't.
func TestInstantsAreJudgedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, admissions := draw(t, true)
		over, kept := count(b, admissions)
		if (over > 0) != exceeds(b, admissions) {
			t.Fatalf("%d over; some interval exceeds the bound: %v", over, over == 0)
		}
		if exceeds(b, kept) {
			t.Fatal("what was not over exceeds the bound")
		}
	})
}

// Nobody is accused wrongly.
func TestNoFalseAccusation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, admissions := draw(t, false)
		if over, _ := count(b, admissions); over > 0 && !exceeds(b, admissions) {
			t.Fatalf("%d over, and no interval exceeds the bound", over)
		}
	})
}

func TestMeter(t *testing.T) {
	b := Bound{Count: 10, Per: time.Second, Burst: 3}
	at := func(ms ...int64) (admissions []admission) {
		for _, m := range ms {
			admissions = append(admissions, admission{m * 1e6, m * 1e6})
		}
		return admissions
	}
	for _, tt := range []struct {
		name       string
		admissions []admission
		want       int64
	}{
		{"nothing", nil, 0},
		{"the burst", at(5, 5, 5), 0},
		{"one more", at(5, 5, 5, 5), 1},
		{"one more, as one is back", at(5, 5, 5, 105), 0},
		{"a nanosecond too early", append(at(5, 5, 5), admission{105e6 - 1, 105e6 - 1}), 1},
		{"it may have been in time", append(at(5, 5, 5), admission{5e6, 105e6}), 0},
		{"twice the burst", at(0, 0, 0, 0, 0, 0), 3},
		{"after a pause of days", at(0, 0, 0, 1e9, 1e9, 1e9, 1e9), 1},
		{"asked before the others, answered after them", append(at(50, 50, 50), admission{45e6, 50e6}), 1},
		{"asked long before the others", append(at(550, 550, 550), admission{0, 550e6}), 0},
	} {
		if got, _ := count(b, tt.admissions); got != tt.want {
			t.Errorf("%s: %d over, want %d", tt.name, got, tt.want)
		}
	}
	var never Meter
	if !never.Admit(Bound{Per: time.Second}, 0, 0) {
		t.Error("a limit of 0 admits")
	}
}

func TestLedger(t *testing.T) {
	l := NewLedger([]Bound{{2, time.Second, 2}, {3, time.Minute, 3}}, 2)
	for i := range int64(5) {
		l.Admit(1, i*1e9, i*1e9)
	}
	l.Admit(0, 0, 0)
	if l.Over() != 2 || l.Key(1) != 2 || l.Key(0) != 0 {
		t.Errorf("%d over: %d of 0, %d of 1; want 2, all of 1", l.Over(), l.Key(0), l.Key(1))
	}
}

func TestBoundOf(t *testing.T) {
	for text, want := range map[string]Bound{
		"5/second":           {5, time.Second, 5},
		"5/second burst 9":   {5, time.Second, 9},
		"5/second leaky":     {5, time.Second, 5},
		"5/second log":       {5, time.Second, 5},
		"5/second fixed":     {5, time.Second, 10},
		"5/minute sliding":   {5, time.Minute, 10},
		"0/second":           {0, time.Second, 0},
		"2 concurrent":       {},
		"5 per day calendar": {},
	} {
		limits, err := bucket.ParseLimits(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := BoundOf(limits[0])
		if got != want || (err != nil) != (want == Bound{}) || err != nil && !strings.Contains(err.Error(), limits[0].String()) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}
