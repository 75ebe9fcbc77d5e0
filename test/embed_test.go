package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEmbed does what the README says under "Embed it", in a module of its own: its code,
// and the imports it names, are a program that builds and limits. The modules it needs are
// those of this module; what Go wants to know of theirs besides, it fetches once.
func TestEmbed(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "\n## Embed it\n")
	block := regexp.MustCompile("(?s)```go\n(.*?)\n```").FindStringSubmatch(section)
	if !found || block == nil {
		t.Fatal("the README doesn't say how to embed it")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.sum":  string(sums),
		"main.go": embedding(block[1]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
		return string(out)
	}
	command("go", "mod", "init", "example.com/service")
	command("go", "mod", "edit", "-require", module+"@v0.0.0", "-replace", module+"="+root)
	command("go", "build", "-o", "service", ".")
	if out := command(filepath.Join(dir, "service")); out != "200\n429\n" {
		t.Errorf("the program printed %q", out)
	}

	// What only the demo, contrib or tests import is no burden.
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	linked := command("go", "list", "-deps", ".")
	for _, other := range []string{mysql, yamlV4, rapid, "github.com/prometheus/client_golang", "filippo.io/edwards25519"} {
		if strings.Contains(string(mod), other) {
			t.Errorf("its go.mod has %s:\n%s", other, mod)
		}
		if strings.Contains(linked, other) {
			t.Errorf("it links %s", other)
		}
	}
	if !strings.Contains(string(mod), memberlist) {
		t.Errorf("its go.mod lacks what it does need:\n%s", mod)
	}
}

// embedding is a program of the README's code, which asks itself twice.
func embedding(code string) string {
	return `package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

func main() {
	ctx := context.Background()
` + code + `
	for range 2 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
}
`
}
