package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

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
