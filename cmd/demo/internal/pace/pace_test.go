package pace

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallsBeginWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var starts []time.Duration
		dropped := Run(t.Context(), Plan{Rate: 100, Keys: 1, Duration: 200 * time.Millisecond}, func(i int64, due time.Time) {
			mu.Lock()
			starts = append(starts, time.Since(began))
			mu.Unlock()
			if due.Sub(began) != time.Duration(i)*10*time.Millisecond || time.Now() != due {
				t.Errorf("call %d was due %v, began after %v", i, due.Sub(began), time.Since(began))
			}
			time.Sleep(time.Second) // nobody waits for it
		})
		if len(starts) != 20 || dropped != 0 || time.Since(began) != 1190*time.Millisecond {
			t.Errorf("%d calls, %d dropped, in %v", len(starts), dropped, time.Since(began))
		}
	})
}

func TestNoMoreCallsThanCanBeCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Plan{Rate: MaxRate, Keys: 1, Duration: time.Second}
		dropped := Run(t.Context(), p, func(int64, time.Time) { time.Sleep(time.Minute) })
		if dropped != p.Calls()-MaxCalls {
			t.Errorf("%d of %d dropped", dropped, p.Calls())
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Millisecond)
		defer cancel()
		began, calls := time.Now(), 0
		Run(ctx, Plan{Rate: 100, Keys: 1, Duration: time.Minute}, func(int64, time.Time) { calls++ })
		if calls != 6 || time.Since(began) != 55*time.Millisecond {
			t.Errorf("%d calls in %v", calls, time.Since(began))
		}
	})
}

func TestPlansAreBounded(t *testing.T) {
	good := Plan{Rate: 1, Keys: 1, Duration: 1}
	name := func(s string) string { return "-" + s }
	if err := good.Check(name); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Plan){
		"-rate 0 is not":         func(p *Plan) { p.Rate = 0 },
		"-rate 20001 is not":     func(p *Plan) { p.Rate = MaxRate + 1 },
		"-keys 0 is not":         func(p *Plan) { p.Keys = 0 },
		"-keys 100001 is not":    func(p *Plan) { p.Keys = MaxKeys + 1 },
		"-skew NaN is not":       func(p *Plan) { p.Skew = math.NaN() },
		"-skew -1 is not":        func(p *Plan) { p.Skew = -1 },
		"-skew 3.5 is not":       func(p *Plan) { p.Skew = 3.5 },
		"-duration 0s is not":    func(p *Plan) { p.Duration = 0 },
		"-duration 11m0s is not": func(p *Plan) { p.Duration = 11 * time.Minute },
	} {
		p := good
		change(&p)
		if err := p.Check(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", p, err, want)
		}
	}
}

func TestZipf(t *testing.T) {
	even := NewZipf(4, 0)
	for i, x := range []float64{0.1, 0.3, 0.6, 0.9} {
		if even.at(x) != i || even.Share(i) != 0.25 {
			t.Errorf("%v is key %d, with a share of %v", x, even.at(x), even.Share(i))
		}
	}
	if even.at(1) != 3 {
		t.Error("there is a key beyond the last")
	}
	steep := NewZipf(3, 1) // 6/11, 3/11, 2/11
	if got := steep.Share(0) / steep.Share(2); math.Abs(got-3) > 1e-9 {
		t.Errorf("the first is asked for %v times as often as the third", got)
	}
	if line := steep.Line(110, 25); math.Abs(line-(25+25+20)) > 1e-9 {
		t.Errorf("70 a second can pass, not %v", line)
	}
	for range 100 {
		if k := steep.Key(); k < 0 || k > 2 {
			t.Fatalf("key %d of 3", k)
		}
	}
}

func TestLatency(t *testing.T) {
	var l Latency
	if l.Quantile(500) != 0 || l.Max() != 0 {
		t.Error("of nothing")
	}
	for i := range 1000 {
		l.Add(time.Duration(i+1) * time.Millisecond)
	}
	for permille, want := range map[int64]time.Duration{1: time.Millisecond, 500: 500 * time.Millisecond, 990: 990 * time.Millisecond, 1000: time.Second} {
		if got := l.Quantile(permille); got < want || float64(got) > float64(want)*33/32 {
			t.Errorf("%d of 1000 took up to %v, want %v", permille, got, want)
		}
	}
	if l.N() != 1000 || l.Max() != time.Second {
		t.Errorf("%d times up to %v", l.N(), l.Max())
	}
	for _, ns := range []uint64{0, 1, 31, 32, 63, 64, 65, 1000, 1<<40 + 12345, math.MaxInt64} {
		if s := slot(ns); upper(s) < ns || s > 0 && upper(s-1) >= ns {
			t.Errorf("%d is in bucket %d, up to %d", ns, s, upper(s))
		}
	}
}

func TestTop(t *testing.T) {
	top := NewTop(3)
	for key, n := range []int{1, 9, 5, 7} { // in the order of the keys
		for range n {
			top.Add(key)
		}
	}
	got := top.Most(2)
	if len(got) != 2 || got[0] != (Count{1, 9, 0}) || got[1] != (Count{3, 8, 1}) {
		t.Errorf("%+v", got)
	}
	if all := top.Most(9); len(all) != 3 {
		t.Errorf("%+v", all)
	}
}
