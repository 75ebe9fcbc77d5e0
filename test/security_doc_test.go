package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every threat of docs/security.md has a test, and every test that it names is there.
func TestThreatsHaveTests(t *testing.T) {
	there := map[string]bool{}
	named := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (S\d+|) \|.*\|.*\| ([^|]*) \|$`).FindAllStringSubmatch(string(doc), -1) {
		for _, name := range strings.Split(row[2], ", ") {
			if name = strings.Trim(name, "`"); !there[name] {
				t.Errorf("%s: there is no %q", row[1], name)
			}
			tested[row[1]] = true
		}
	}
	for i := range 20 {
		if row := fmt.Sprint("S", i+1); !tested[row] {
			t.Errorf("%s has no test", row)
		}
	}
}
