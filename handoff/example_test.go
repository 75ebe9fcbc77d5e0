package handoff_test

import (
	"fmt"

	"github.com/shoal-dev/shoal/handoff"
)

func Example() {
	// Two replicas see each other. The first made the token when it was alone.
	var a, b handoff.Part
	a.StartClaim(&handoff.View{Self: 1, Members: []handoff.Boot{1}, Hash: 1})
	viewA := &handoff.View{Self: 1, Members: []handoff.Boot{1, 2}, Hash: 2}
	viewB := &handoff.View{Self: 2, Members: []handoff.Boot{1, 2}, Hash: 2}
	a.ViewChanged(viewA)
	b.ViewChanged(viewB)
	fmt.Println(a.State(), b.State())

	// The table names the second now. From here on the first debits nothing.
	a.Release(viewA, 2)
	fmt.Println(a.State(), b.State())

	// The message is due, and comes with the buckets, until it is answered.
	transfer, due := a.Pending(viewA, 2, 2)
	fmt.Println(due)
	ack, answered := b.Receive(viewB, transfer)
	fmt.Println(a.State(), b.State(), answered)

	a.Receive(viewA, ack)
	fmt.Println(a.State(), b.State())

	// Output:
	// hold none
	// sending none
	// true
	// sending hold true
	// none hold
}
