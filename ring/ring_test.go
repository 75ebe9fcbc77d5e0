package ring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

func TestPartition(t *testing.T) {
	for _, tt := range []struct {
		hi   uint64
		want int
	}{
		{0, 0},
		{1<<52 - 1, 0},
		{1 << 52, 1},
		{0x8000_0000_0000_0000, Partitions / 2},
		{^uint64(0), Partitions - 1},
	} {
		if got := Partition(tt.hi); got != tt.want {
			t.Errorf("Partition(%#x) = %d, want %d", tt.hi, got, tt.want)
		}
	}
}

// A cluster is upgraded one replica at a time. If this test fails, old and new
// replicas name different owners for one partition: find out what changed the
// algorithm (a parameter, the library, the hash), and don't adjust the figures.
func TestGolden(t *testing.T) {
	table := mustNew(t, "api-1", "api-2", "api-3")
	if got, want := table.Hash(), uint64(0x5486c74a89abe2cb); got != want {
		t.Errorf("Hash() = %#x, want %#x", got, want)
	}
	if got, want := table.owned, []int{1317, 1488, 1291}; !slices.Equal(got, want) {
		t.Errorf("owned = %v, want %v", got, want)
	}
	var owners, standbys strings.Builder
	for p := range 64 {
		owners.WriteString(strings.TrimPrefix(table.Owner(p), "api-"))
		standbys.WriteString(strings.TrimPrefix(table.Standby(p), "api-"))
	}
	if got, want := owners.String(), "2223231232121323322231312212131311132112322333112213333113222132"; got != want {
		t.Errorf("owners of the first 64 = %s\nwant %s", got, want)
	}
	if got, want := standbys.String(), "3131312113232211213312223323222222223221133211223321112222331213"; got != want {
		t.Errorf("standbys of the first 64 = %s\nwant %s", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, members := range map[string][]string{
		"none":      nil,
		"empty":     {"a", "", "b"},
		"duplicate": {"a", "b", "a"},
		"too many":  series("api-%d", MaxMembers+1),
	} {
		if table, err := New(members); !errors.Is(err, ErrMembers) || table != nil {
			t.Errorf("%s: New = %v, %v, want ErrMembers", name, table, err)
		}
	}
}

// The library panics when the members together have too little room.
func TestAssignTurnsPanicIntoError(t *testing.T) {
	members, err := sorted([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = assign(members, 0.5)
	if !errors.Is(err, ErrMembers) || !strings.Contains(err.Error(), "not enough room") {
		t.Errorf("assign with load 0.5: %v, want ErrMembers with the library's text", err)
	}
}

// Every N from 1 to MaxMembers was built once with each kind of names, which
// takes two minutes: none failed or broke the bound. This is a sample, with the N
// at which 1.25 × 4096/N is a whole number; large_test.go has the upper end.
func TestEverySizeBuildsWithinTheBound(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 20, 32, 40, 50} {
		table := checkBalance(t, n)
		for i, floor := 0, Partitions/n/4; i < n; i++ {
			if owned := table.Owned(i); owned < floor {
				t.Errorf("N=%d: member %d owns %d, want ≥ %d, a quarter of the mean", n, i, owned, floor)
			}
		}
	}
}

// checkBalance builds a table of n members, their kind of names depending on n,
// and checks that all partitions have an owner and nobody has over the bound.
func checkBalance(t *testing.T, n int) *Table {
	t.Helper()
	kinds := []func(i int) string{
		func(i int) string { return fmt.Sprintf("api-%d", i) },
		func(i int) string { return fmt.Sprintf("10.0.%d.%d:7946", i/250, i%250) },
		func(i int) string { return fmt.Sprintf("%x", xxhash.Sum64String(fmt.Sprint(i))) },
	}
	names := make([]string, n)
	for i := range names {
		names[i] = kinds[n%len(kinds)](i)
	}
	table := mustNew(t, names...)
	bound := (Partitions*5/4 + n - 1) / n // ceil(1.25 × Partitions/n)
	total := 0
	for i := range n {
		owned := table.Owned(i)
		total += owned
		if owned > bound {
			t.Errorf("N=%d: member %d owns %d, want ≤ %d", n, i, owned, bound)
		}
	}
	if total != Partitions {
		t.Errorf("N=%d: %d partitions have owners, want %d", n, total, Partitions)
	}
	return table
}

func TestMembersIsACopy(t *testing.T) {
	given := []string{"b", "a"}
	table := mustNew(t, given...)
	given[0] = "x"
	table.Members()[0] = "y"
	if got, want := table.Members(), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("Members() = %q, want %q", got, want)
	}
}

// Owner, OwnerIndex, Members and Owned tell the same story.
func TestViewsAgree(t *testing.T) {
	table := mustNew(t, "d", "b", "a", "c")
	members := table.Members()
	count := make([]int, len(members))
	for p := range Partitions {
		i := table.OwnerIndex(p)
		count[i]++
		if table.Owner(p) != members[i] {
			t.Fatalf("partition %d: Owner %q, OwnerIndex %d of %q", p, table.Owner(p), i, members)
		}
	}
	for i, want := range count {
		if got := table.Owned(i); got != want {
			t.Errorf("Owned(%d) = %d, counted %d", i, got, want)
		}
	}
}

// awkward are sets of names in which name + number is ambiguous (api-1 + "12" is
// api-11 + "2"), which made v0.10.0 of the library depend on the order.
func awkward() [][]string {
	return [][]string{
		{"api-1", "api-11", "api-111", "api-12", "api-2"},
		{"node1", "node11", "node2"},
		{"1", "11", "1:1", ":1", "1:11", "0"},
		{"a", "a\x00", "a\x00b", "\xff\xfe", " a", "a ", strings.Repeat("a", 4096)},
	}
}

// New sorts, so this looks beneath it: the points themselves must not collide.
func TestAwkwardNamesHavePointsOfTheirOwn(t *testing.T) {
	for _, names := range awkward() {
		members, err := sorted(names)
		if err != nil {
			t.Fatal(err)
		}
		forwards, err := assign(members, maxLoad)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(members)
		backwards, err := assign(members, maxLoad)
		if err != nil {
			t.Fatal(err)
		}
		if forwards != backwards {
			t.Errorf("%q: owners depend on the order in which the library is told", names)
		}
	}
}

// Whatever bytes the names are made of, New builds a table or says why not, and
// builds the same one from any order of them.
func TestAnyNamesInAnyOrder(t *testing.T) {
	t.Parallel()
	name := rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes"))
	})
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name, 0, 6).Draw(t, "names")
		distinct := slices.Compact(slices.Sorted(slices.Values(names)))
		good := len(names) > 0 && len(distinct) == len(names) && !slices.Contains(names, "")

		table, err := New(names)
		if (err == nil) != good {
			t.Fatalf("New: %v, want success %t", err, good)
		}
		if !good {
			return
		}
		if !slices.Equal(table.Members(), distinct) {
			t.Fatalf("Members() = %q, want %q", table.Members(), distinct)
		}
		other, err := New(rapid.Permutation(names).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		if other.owners != table.owners || other.Hash() != table.Hash() {
			t.Fatal("another order gave another table")
		}
	})
}

// Every change of the set of names changes the hash, also one that leaves all
// owners' indexes or the names' concatenation as they were.
func TestHashTellsTablesApart(t *testing.T) {
	seen := map[uint64][]string{}
	for _, names := range [][]string{
		{"a"}, {"b"}, {"ab"}, {"a", "b"}, {"a", "c"}, {"a", "b", "c"}, {"ab", "c"}, {"a", "bc"},
	} {
		h := mustNew(t, names...).Hash()
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", names, other)
		}
		seen[h] = names
	}
	if h := mustNew(t, "c", "a", "b").Hash(); !slices.Equal(seen[h], []string{"a", "b", "c"}) {
		t.Error("the hash depends on the order of the names")
	}
	// The owners alone count as well.
	table := mustNew(t, "a", "b")
	owners := table.owners
	owners[7] = 1 - owners[7]
	if hash(table.members, &owners) == table.Hash() {
		t.Error("the hash does not depend on the owners")
	}
}

// The ideal of a join is that the newcomer gets 1/(N+1) of the partitions and
// nothing else moves. Measured over 200 random sets of names: 1.04, 1.05 and
// 1.10 times that in the mean, 1.47, 1.64 and 1.66 at worst.
func TestJoinMovesLittle(t *testing.T) {
	t.Parallel()
	const trials = 4
	for _, n := range []int{3, 5, 10} {
		ideal := float64(Partitions) / float64(n+1)
		sum := 0.0
		for trial := range trials {
			names := series(fmt.Sprintf("set%d-%%d", trial), n+1)
			moved := float64(moves(mustNew(t, names[:n]...), mustNew(t, names...)))
			sum += moved
			if moved > 1.8*ideal {
				t.Errorf("%d→%d, set %d: %.0f moved, want ≤ 1.8 × %.0f", n, n+1, trial, moved, ideal)
			}
		}
		if mean := sum / trials; mean > 1.4*ideal {
			t.Errorf("%d→%d: %.0f moved in the mean, want ≤ 1.4 × %.0f", n, n+1, mean, ideal)
		}
	}
}

func TestStandbyIsOwnerWithoutTheOwner(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 5, 10} {
		names := series("api-%d", n)
		table := mustNew(t, names...)
		without := map[string]*Table{}
		for _, gone := range names {
			others := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == gone })
			without[gone], _ = New(others) // nil for a ring of one
		}
		for p := range Partitions {
			want := ""
			if others := without[table.Owner(p)]; others != nil {
				want = others.Owner(p)
			}
			if got := table.Standby(p); got != want {
				t.Fatalf("N=%d: Standby(%d) = %q, want %q", n, p, got, want)
			}
		}
	}
}

func TestStandbyConcurrently(t *testing.T) {
	t.Parallel()
	names := series("api-%d", 4)
	want, got := mustNew(t, names...), mustNew(t, names...)
	for p := range Partitions {
		want.Standby(p)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range Partitions {
				p := (i + g*Partitions/8) % Partitions
				if s := got.Standby(p); s != want.Standby(p) || s == got.Owner(p) {
					t.Errorf("Standby(%d) = %q", p, s)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLookUpsDoNotAllocate(t *testing.T) {
	table := mustNew(t, "a", "b", "c")
	if n := testing.AllocsPerRun(100, func() {
		p := Partition(0x123456789abcdef0)
		_, _, _ = table.OwnerIndex(p), table.Owner(p), table.Standby(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func mustNew(t testing.TB, names ...string) *Table {
	t.Helper()
	table, err := New(names)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// series returns n names, format applied to 1 to n.
func series(format string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i+1)
	}
	return names
}

// moves counts the partitions whose owner's name differs.
func moves(from, to *Table) int {
	n := 0
	for p := range Partitions {
		if from.Owner(p) != to.Owner(p) {
			n++
		}
	}
	return n
}
