package bucket

import (
	"encoding/binary"
	"testing"
	"time"
)

// fuzzLedger lets the hits that a fuzzer thinks of come in at a store and at the
// ledger. Each is three bytes: how many tokens, and how long after the one before
// in 128ths of Per; or, if that is above 127, when the last answer said, or a
// nanosecond earlier.
func fuzzLedger(f *testing.F, kind Limit) {
	f.Add(uint16(5), uint64(time.Minute), []byte{1, 0, 0, 5, 0, 0, 5, 128, 0, 5, 129, 0, 3, 127, 255, 0, 130, 0})
	f.Add(uint16(1), uint64(1), []byte{1, 0, 0, 2, 0, 0, 1, 255, 0})
	f.Add(uint16(1023), uint64(1<<40), []byte{255, 0, 1, 255, 64, 0, 255, 0, 1, 255, 0, 0, 255, 0, 0})
	f.Fuzz(func(t *testing.T, count uint16, per uint64, hits []byte) {
		l := kind
		l.Count, l.Per = int64(count%1024)+1, time.Duration(per%(1<<50))+1
		if l.Calendar {
			l.Per = []time.Duration{Day, Week, Month, Year}[per%4]
		}
		rule, err := NewRule("r", []Limit{l})
		if err != nil {
			t.Fatal(err)
		}
		m := &ledger{Limit: l, zone: rule.terms[0].window.zone}
		store, now, last := NewStore(StoreConfig{Epoch: epoch}), int64(0), Verdict{}
		for ; len(hits) >= 3 && len(hits) < 600; hits = hits[3:] {
			n, gap := int64(hits[0]), int64(binary.BigEndian.Uint16(hits[1:]))
			switch {
			case gap < 1<<15:
				now += int64(l.Per)/(1<<15)*gap + gap%2
			case last.RetryAfter > 0 && last.RetryAfter != Never:
				now += int64(last.RetryAfter) - gap>>8%2
			default:
				now += max(0, int64(last.ResetAfter)-gap>>8%2)
			}
			m.forget(now)
			last = store.TakeDigest(rule, Digest{1, 2}, n, now)
			if wrong := m.agrees(last, n, now); wrong != "" {
				t.Fatalf("%+v: %d tokens at %d: %+v; the model says %s", l, n, now, last, wrong)
			}
		}
		checkStore(t, store)
	})
}

func FuzzFixedWindow(f *testing.F)   { fuzzLedger(f, Limit{Algorithm: FixedWindow}) }
func FuzzAlignedWindow(f *testing.F) { fuzzLedger(f, Limit{Algorithm: FixedWindow, Aligned: true}) }
func FuzzSlidingWindow(f *testing.F) { fuzzLedger(f, Limit{Algorithm: SlidingWindow}) }
func FuzzSlidingLog(f *testing.F)    { fuzzLedger(f, Limit{Algorithm: SlidingLog}) }
func FuzzCalendarWindow(f *testing.F) {
	fuzzLedger(f, Limit{Algorithm: FixedWindow, Calendar: true, Zone: "America/St_Johns"})
}
