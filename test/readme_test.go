package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// TestReadmeCodeIsTested: every Go block of the README stands in an Example,
// one level further in.
func TestReadmeCodeIsTested(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []byte
	for _, dir := range []string{"cluster", "bucket", "contrib/rules"} {
		example, err := os.ReadFile("../" + dir + "/example_test.go")
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, example...)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)\n```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no Go block")
	}
	for _, b := range blocks {
		code := regexp.MustCompile("(?m)^(.)").ReplaceAllString(b[1], "\t$1")
		if !strings.Contains(string(examples), code) {
			t.Errorf("this block of the README is in no Example:\n%s", b[1])
		}
	}
}

// TestReadmeLimitsAreRead: every form in the tables of "Limits in words" is one.
func TestReadmeLimitsAreRead(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, words, _ := strings.Cut(string(readme), "## Limits in words")
	words, _, _ = strings.Cut(words, "\n## ")
	read := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(words, -1) {
		for _, text := range strings.Split(strings.Trim(row[1], "`"), "`, `") {
			if _, err := bucket.ParseRule("readme", text); err != nil {
				t.Error(err)
			}
			read++
		}
	}
	if read < 12 {
		t.Errorf("the README has only %d forms", read)
	}
}
