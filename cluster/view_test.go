package cluster

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/shoal-dev/shoal/ring"
)

func boot(name string, epoch uint64, boot string) *member {
	return &member{meta: meta{name: name, epoch: epoch, address: "10.0.0.1:" + boot}, boot: name + "/" + boot, gossip: "10.0.0.2:" + boot}
}

func mustView(t *testing.T, boots ...*member) *view {
	t.Helper()
	v, err := newView(boots)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheNewestBootOfANameCounts(t *testing.T) {
	boots := []*member{
		boot("a", 3, "1"), boot("a", 5, "2"), boot("a", 4, "3"), // the highest epoch
		boot("b", 7, "4"), boot("b", 7, "6"), boot("b", 7, "5"), // or else the highest boot
		boot("c", 0, "7"),
	}
	want := mustView(t, boots[1], boots[4], boots[6])
	for range 50 {
		rand.Shuffle(len(boots), func(i, j int) { boots[i], boots[j] = boots[j], boots[i] })
		v := mustView(t, boots...)
		if !v.same(want) || v.table.Hash() != want.table.Hash() {
			t.Fatalf("of %v these count: %v", boots, v.members)
		}
	}
	for i, name := range want.table.Members() {
		if want.members[i].name != name {
			t.Errorf("member %d is %q in the view and %q in the table", i, want.members[i].name, name)
		}
	}
	if want.boot("a/2") != boots[indexOf(boots, "a/2")] || want.boot("a/1") != nil {
		t.Error("boot finds the wrong member")
	}
}

func indexOf(boots []*member, name string) int {
	for i, b := range boots {
		if b.boot == name {
			return i
		}
	}
	return -1
}

func TestSameViews(t *testing.T) {
	v := mustView(t, boot("a", 1, "1"), boot("b", 1, "2"))
	if !v.same(mustView(t, boot("b", 1, "2"), boot("a", 1, "1"), boot("a", 0, "9"))) {
		t.Error("not the same as another of the same boots")
	}
	gossip := boot("b", 1, "2")
	gossip.gossip = "10.0.0.9:1"
	address := boot("b", 1, "2")
	address.address = "10.0.0.9:1"
	for what, b := range map[string]*member{
		"boot": boot("b", 1, "3"), "epoch": boot("b", 2, "2"), "name": boot("c", 1, "2"), "gossip address": gossip, "address": address,
	} {
		if v.same(mustView(t, boot("a", 1, "1"), b)) {
			t.Errorf("the same as one with another %s", what)
		}
	}
	if v.same(mustView(t, boot("a", 1, "1"))) {
		t.Error("the same as one with a member less")
	}
}

// Impossible views aren't published: the former stays.
func TestNoMembersKeepTheFormerView(t *testing.T) {
	n := start(t, Config{})
	before := n.view.Load()
	if err := n.publish(t.Context(), nil); !errors.Is(err, ring.ErrMembers) || n.view.Load() != before {
		t.Errorf("publish: %v", err)
	}
}
