package bucket_test

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

func Example() {
	rule := bucket.MustRule("login", "2/second; 100/hour")
	store := bucket.NewStore(bucket.StoreConfig{})
	now := int64(0) // nanoseconds of a monotonic clock
	for range 3 {
		d := store.Take(rule, "alice", 1, now)
		fmt.Println(d.Allowed, d.Limit, d.Remaining)
	}
	fmt.Println(store.Take(rule, "bob", 1, now).Allowed)
	// Output:
	// true 2 per 1 second 1
	// true 2 per 1 second 0
	// false 2 per 1 second 0
	// true
}

func ExampleDecision_retryAfter() {
	rule := bucket.MustRule("search", "7/second")
	store := bucket.NewStore(bucket.StoreConfig{})
	store.Take(rule, "alice", 7, 0)

	d := store.Take(rule, "alice", 2, 0)
	fmt.Println(d.Allowed, d.RetryAfter)
	early := store.Take(rule, "alice", 2, int64(d.RetryAfter)-1)
	fmt.Println(early.Allowed, early.RetryAfter)
	fmt.Println(store.Take(rule, "alice", 2, int64(d.RetryAfter)).Allowed)
	fmt.Println(store.Take(rule, "alice", 8, 0).RetryAfter == bucket.Never)
	// Output:
	// false 285.714286ms
	// false 1ns
	// true
	// true
}

func ExampleNewRule() {
	rule, err := bucket.NewRule("upload", []bucket.Limit{
		{Name: "burst", Count: 1, Per: 100 * time.Millisecond, Burst: 20},
		{Name: "daily", Count: 1000, Per: 24 * time.Hour},
	}, bucket.WithFailurePolicy(bucket.Deny))
	fmt.Println(rule, err)
	fmt.Println(rule.FailurePolicy())
	// Output:
	// upload: burst = 1 per 100ms burst 20; daily = 1000 per 1 day; policy deny <nil>
	// deny
}

func ExampleParseLimits() {
	limits, err := bucket.ParseLimits("5/second; 60 per minute, 2500/3 hours")
	fmt.Println(limits, err)

	_, err = bucket.ParseLimits("5/second; 60 per fortnight")
	var fault *bucket.ParseError
	if errors.As(err, &fault) {
		fmt.Println(fault.Offset, fault.Problem)
	}
	// Output:
	// [5 per 1 second 60 per 1 minute 2500 per 3 hour] <nil>
	// 17 expected second, minute, hour, day, month or year, not "fortnight"
}

// When a rule's numbers change, what was consumed is kept.
func ExampleRule() {
	store := bucket.NewStore(bucket.StoreConfig{})
	store.Take(bucket.MustRule("api", "20/minute"), "alice", 10, 0)
	for _, limits := range []string{"10/minute", "20/minute"} {
		fmt.Println(limits, store.Take(bucket.MustRule("api", limits), "alice", 0, 0).Remaining)
	}
	// Output:
	// 10/minute 0
	// 20/minute 10
}

// Peek tells what a request would get, and takes nothing.
func ExampleStore_Peek() {
	store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("export", "10/hour")
	store.Take(rule, "alice", 8, 0)
	for range 2 {
		d := store.Peek(rule, "alice", 3, 0)
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter)
	}
	// Output:
	// false 2 6m0s
	// false 2 6m0s
}

// Only what was used is paid: the rest goes back by the decision's receipt.
func ExampleStore_Refund() {
	store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("words", "1000/hour")
	d := store.Take(rule, "alice", 400, 0) // an estimate
	fmt.Println(d.Remaining)
	fmt.Println(store.Refund(rule, "alice", d.Receipt.Part(150), 0), store.Peek(rule, "alice", 0, 0).Remaining)
	// Output:
	// 600
	// true 750
}

// Whoever is refused three times in an hour has to wait for its end.
func ExampleWithPenalty() {
	store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("login", "2/second; penalty 3/hour fixed")
	for range 5 {
		d := store.Take(rule, "alice", 1, 0)
		fmt.Println(d.Allowed, d.Limit, d.RetryAfter)
	}
	fmt.Println(store.Reset(rule, "alice", 0), store.Take(rule, "alice", 1, 0).Allowed)
	// Output:
	// true 2 per 1 second 0s
	// true 2 per 1 second 0s
	// false 2 per 1 second 500ms
	// false 2 per 1 second 500ms
	// false 3 per 1 hour fixed 1h0m0s
	// true true
}

// A new limit is tried out first, and enforced when it does what it should.
func ExampleRule_SetMode() {
	store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("api", "1/second; mode shadow")
	store.Take(rule, "alice", 1, 0)
	d := store.Take(rule, "alice", 1, 0)
	fmt.Println(d.Allowed, d.WouldRefuse)

	err := rule.SetMode(bucket.Enforce)
	d = store.Take(rule, "alice", 1, 0)
	fmt.Println(d.Allowed, d.WouldRefuse, err)
	// Output:
	// true true
	// false false <nil>
}

func ExampleRule_flag() {
	var rule bucket.Rule
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.Var(&rule, "limit", "the `rule` for logins")
	err := flags.Parse([]string{"-limit", "login: 5/second; 100/hour; penalty 20/hour; policy deny"})
	fmt.Println(&rule, err)
	// Output:
	// login: 5 per 1 second; 100 per 1 hour; penalty 20 per 1 hour; policy deny <nil>
}
