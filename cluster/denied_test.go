package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Of a flood of keys those that are refused more than their share are kept, with a
// count that is no lower than the true one and no further above it than it says.
func TestDeniedKeepsTheMostRefused(t *testing.T) {
	d := denied{size: 10}
	rule, key := bucket.MustRule("login", "1/hour"), bucket.DigestKey{1}
	add := func(name string) { d.add(key.Digest(rule, name), rule, name, 1) }
	for i := range 5000 {
		add(fmt.Sprint("flood ", i))
		if i%4 == 0 {
			add("mallory")
		}
		if i%5 == 0 {
			add("trudy")
		}
	}
	got := d.list(1)
	if len(got) != 10 || got[0].Key != "mallory" || got[1].Key != "trudy" {
		t.Fatalf("%+v", got)
	}
	for i, want := range []int64{1250, 1000} {
		if r := got[i]; r.Rule != "login" || r.Refusals < want || r.Refusals-r.Error > want {
			t.Errorf("%+v, truly %d", r, want)
		}
	}
}

// Counts fade, texts are clipped, and without a size nothing is kept.
func TestDeniedForgets(t *testing.T) {
	d := denied{size: 2}
	rule := bucket.MustRule("api", "1/hour")
	for range 8 {
		d.add(bucket.Digest{Hi: 1}, rule, strings.Repeat("long ", 100), 0)
	}
	minutes := func(n int64) []DeniedKey { return d.list(n * int64(time.Minute)) }
	if got := minutes(2); len(got) != 1 || got[0].Refusals != 2 || len(got[0].Key) != maxKeyText {
		t.Errorf("after two minutes %+v", got)
	}
	if got := minutes(100); len(got) != 0 {
		t.Errorf("after a hundred %+v", got)
	}
	if got := testing.AllocsPerRun(100, func() { d.add(bucket.Digest{Hi: 1}, rule, "a", 1e13) }); got != 0 {
		t.Errorf("a known key allocates %v times", got)
	}
	none := denied{}
	none.add(bucket.Digest{}, rule, "a", 0)
	if got := none.list(0); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
