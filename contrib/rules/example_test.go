package rules_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/rules"
	"github.com/shoal-dev/shoal/httpmw"
)

// A service whose limits are in a file. The zero Config is a cluster of one.
func Example() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	file, err := rules.Open("testdata/shop.yaml", rules.Options{Require: []string{"login"}})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	login := func(w http.ResponseWriter, r *http.Request) {
		rule, _ := file.Rule("login") // it is required, so it is there
		d, err := node.Take(r.Context(), rule, r.FormValue("user"), 1)
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		httpmw.SetHeaders(w.Header(), rule, d)
		if !d.Allowed {
			http.Error(w, "too many attempts", http.StatusTooManyRequests)
			return
		}
		fmt.Fprintln(w, "welcome")
	}

	for range 3 {
		w := httptest.NewRecorder()
		login(w, httptest.NewRequest("POST", "/login?user=alice", nil))
		fmt.Println(w.Code, w.Header().Get("RateLimit"))
	}

	// Output:
	// 200 "daily";r=1;t=86400
	// 200 "daily";r=0;t=86400
	// 429 "daily";r=0;t=86400
}

// A program reloads at once where it is told that the file is another, as by SIGHUP.
// Else the file is looked at every two seconds.
func ExampleFile_Reload() {
	dir, err := os.MkdirTemp("", "rules")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rules.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			log.Fatal(err)
		}
	}

	write("rules:\n  search: 10/second\n")
	file, err := rules.Open(path, rules.Options{
		OnChange: func(set *rules.Set) { fmt.Println("now:", set.Names()) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	write("rules:\n  search: 20/second\n  export: 5/sec\n")
	fmt.Println(strings.ReplaceAll(file.Reload().Error(), dir+"/", ""))
	rule, _ := file.Rule("search")
	fmt.Println(rule)

	write("rules:\n  search: 20/second\n  export: 5/second\n")
	fmt.Println(file.Reload())
	rule, _ = file.Rule("search")
	fmt.Println(rule)

	// Output:
	// rules: the rules from before stay in force: rules.yaml:3:11: rule "export": part 1: rate string "5/sec": at offset 2: expected second, minute, hour, day, month or year, not "sec"
	// search: 10 per 1 second
	// now: [search export]
	// <nil>
	// search: 20 per 1 second
}

// A file can be checked before it is rolled out, as in a test.
func ExampleParse() {
	_, err := rules.Parse("rules.yaml", []byte(`
rules:
  login:
    limits: 5/second; 100/our
    policy: refuse
  api:
    limits: {count: 1k, per: hour}
    mod: shadow
`))
	fmt.Println(err)
	// Output:
	// rules.yaml:4:13: rule "login": limits: part 2: rate string "100/our": at offset 4: expected second, minute, hour, day, month or year, not "our"
	// rules.yaml:5:13: rule "login": policy: "refuse" is none; choose local share, allow or deny
	// rules.yaml:7:21: rule "api": limits.count: "1k" is no whole number up to 9223372036854775807; write only digits, as 100
	// rules.yaml:8:5: rule "api": unknown field "mod"; a rule has limits, penalty, policy and mode
}
