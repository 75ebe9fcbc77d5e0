package httpmw_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each line of the package comment's table names an example or a test that exists.
func TestTableOfFeatures(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]bool{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				functions[fn.Name.Name] = true
			}
		}
	}
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "# Coming from Flask-Limiter")
	lines := 0
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if !strings.HasPrefix(line, "//\t") {
			continue
		}
		if name := words[len(words)-1]; !functions[name] {
			t.Errorf("no function %s, of %q", name, line)
		}
		lines++
	}
	if !found || lines < 30 {
		t.Errorf("found only %d lines", lines)
	}
}
