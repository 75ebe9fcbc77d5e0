package test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	hash "github.com/cespare/xxhash/v2"

	"github.com/shoal-dev/shoal/bucket"
)

// Keys that somebody has crafted so that all fall into one partition under the hash
// that the ring uses, or would if it weren't keyed, burden no replica more than others.
func TestCraftedKeys(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3, secret(ours))
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "1/hour")
		const partitions, wanted = 4096, 3000
		owned := map[string]int{}
		for i, found := 0, 0; found < wanted; i++ {
			key := fmt.Sprint("crafted ", i)
			if hash.Sum64String(key)%partitions != 7 {
				continue
			}
			found++
			owned[f.replicas[0].Owner(rule, key)]++
		}
		for _, m := range f.replicas[0].Members() {
			fair := wanted * m.Partitions / partitions
			if got := owned[m.Name]; got > fair*13/10 {
				t.Errorf("%s owns %d of %d such keys, and %d of %d partitions", m.Name, got, wanted, m.Partitions, partitions)
			}
		}
	})
}

// What guards the ports is at least as new as the versions in which known attacks were
// stopped: memberlist 0.7.0 (a decompression bomb, a remote panic), grpc 1.58.3 (rapid
// resets).
func TestLibrariesAreNewEnough(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, least := range map[string][3]int{"github.com/hashicorp/memberlist": {0, 7, 0}, "google.golang.org/grpc": {1, 58, 3}} {
		m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` v(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(string(mod))
		if m == nil {
			t.Fatalf("%s is not in go.mod", module)
		}
		var got [3]int
		if _, err := fmt.Sscan(strings.Join(m[1:], " "), &got[0], &got[1], &got[2]); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i] != least[i] {
				if got[i] < least[i] {
					t.Errorf("%s is %v, older than %v", module, got, least)
				}
				break
			}
		}
	}
}
