package cluster

import (
	"testing"
	"time"

	"github.com/shoal-dev/shoal/test/simnet"
)

// In peace whoever owns a partition holds it and the other has the copy; when one has
// crashed, the other still knows for a moment who held its partitions.
func TestTableOfAPair(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		time.Sleep(time.Second)
		copies := 0
		for i, p := range a.Table() {
			state := "held"
			if p.Owner == b.Name() {
				state = "copy"
			}
			if p.Owner == p.Standby || p.Holder != p.Owner && p.Holder != "" || p.State != state && p.State != "none" {
				t.Fatalf("partition %d: %+v", i, p)
			}
			if p.State == "copy" && p.Holder == b.Name() {
				copies++
			}
		}
		if held := a.Metrics().Handoff.Held; copies == 0 || copies > 4096-held {
			t.Errorf("%d copies beside %d held", copies, held)
		}
		net.Host("10.0.0.2").Crash()
		time.Sleep(5 * time.Second)
		for i, p := range a.Table() {
			if want := (Partition{Owner: a.Name(), Holder: a.Name(), State: "held"}); p != want {
				t.Fatalf("alone, partition %d: %+v", i, p)
			}
		}
	})
}

func BenchmarkMetrics(b *testing.B) {
	n, err := Start(b.Context(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = n.Close(b.Context()) }()
	for b.Loop() {
		n.Metrics()
	}
}
