package ring_test

import (
	"fmt"

	"github.com/shoal-dev/shoal/ring"
)

func Example() {
	// Every replica builds the table for itself, from the names it knows.
	table, err := ring.New([]string{"api-3", "api-1", "api-2"})
	if err != nil {
		fmt.Println(err)
		return
	}

	p := ring.Partition(0x5a17_c0de_0000_0000) // from the digest of a key
	fmt.Println("partition", p)
	fmt.Println("owner", table.Owner(p))
	fmt.Println("standby", table.Standby(p))

	// When the owner goes, its standby takes over.
	rest, err := ring.New([]string{"api-3", "api-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("then", rest.Owner(p))

	// Output:
	// partition 1441
	// owner api-2
	// standby api-3
	// then api-3
}
