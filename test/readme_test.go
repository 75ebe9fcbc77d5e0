package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// TestReadmeLimitsAreRead: every form in the tables of "Limits in words", in the README
// and on the page of limits, is one.
func TestReadmeLimitsAreRead(t *testing.T) {
	for _, page := range []string{"../README.md", "../docs/limits.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, words, _ := strings.Cut(string(text), "# Limits in words\n")
		words, _, _ = strings.Cut(words, "\n## In ") // of the page's other parts
		if page == "../README.md" {
			words, _, _ = strings.Cut(words, "\n## ")
		}
		read := 0
		for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(words, -1) {
			for _, form := range strings.Split(strings.Trim(row[1], "`"), "`, `") {
				if _, err := bucket.ParseRule("readme", form); err != nil {
					t.Errorf("%s: %v", page, err)
				}
				read++
			}
		}
		if read < 12 {
			t.Errorf("%s has only %d forms", page, read)
		}
	}
}
