package hosts

import (
	"path/filepath"
	"reflect"
	"testing"
)

// What a process wrote is in the file at once: nothing is flushed or closed here.
func TestJournalKeepsCalls(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(name)
	if err != nil {
		t.Fatal(err)
	}
	before := clock()
	j.begin(3).end(allowed, false)
	j.begin(4).end(refused, true)
	j.begin(5)
	j.begin(6).end(void, false)
	j.stall(before)
	j.count.Add(1) // killed at once
	after := clock()

	h, err := readJournal(name, after+1)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range h.calls {
		if c.at < before || c.end < c.at || c.end > after+1 {
			t.Errorf("call %d was from %d to %d, the test from %d to %d", i, c.at, c.end, before, after)
		}
		h.calls[i].at, h.calls[i].end = 0, 0
	}
	want := []call{{key: 3, outcome: allowed}, {key: 4, outcome: refused, degraded: true}, {key: 5, outcome: open}}
	if !reflect.DeepEqual(h.calls, want) {
		t.Errorf("calls are %+v, want %+v", h.calls, want)
	}
	if len(h.stalls) != 1 || h.stalls[0].from != before || h.stalls[0].to < before {
		t.Errorf("stalls are %v, want one from %d", h.stalls, before)
	}
	if _, err := openJournal(name); err == nil {
		t.Error("a second process may write into the journal of the first")
	}
}
