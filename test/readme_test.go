package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
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
