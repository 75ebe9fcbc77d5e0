package browser

import (
	"os/exec"
	"testing"

	"github.com/shoal-dev/shoal/httpmw"
)

// curl --retry comes back when Retry-After says so, in either form, and is served.
func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	for name, answers := range map[string]httpmw.Answers{
		"seconds": {},
		"a date":  {RetryDate: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it is all waiting
			a := newAPI(t, answers)
			out, err := exec.CommandContext(t.Context(), curl, "-q", "--noproxy", "*", "--silent", "--fail", "--retry", "2", a.url+"/rush").Output()
			if err != nil || string(out) != "served" {
				t.Errorf("curl: %v, %q", err, out)
			}
			seen := a.visits()
			if len(seen) != 2 || seen[0].status != 429 || seen[1].status != 200 {
				t.Fatalf("the API saw %+v", seen)
			}
			if due := seen[0].due(t); seen[1].came.Before(due) {
				t.Errorf("curl was back %v early: %+v", due.Sub(seen[1].came), seen)
			}
		})
	}
}
