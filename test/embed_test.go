package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEmbed does what the README says under "Embed it", in a module of its own: its code,
// and the imports it names, are a program that builds and limits, and joins its like. The
// modules it needs are those of this module; what Go wants to know of theirs besides, it
// fetches once.
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
	address := alone(t, filepath.Join(dir, "service"))
	t.Setenv("SEEDS", address)
	if out := command(filepath.Join(dir, "service")); !strings.HasSuffix(out, " 2\n") {
		t.Errorf("with the other as its seed the program printed %q", out)
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

// alone starts the program as the first replica, which ends with the test, and returns
// where it gossips.
func alone(t *testing.T, program string) (address string) {
	t.Helper()
	t.Setenv("SEEDS", "")
	c := exec.Command(program)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	var first, second, members int
	if _, err := fmt.Fscan(out, &first, &second, &address, &members); err != nil || first != 200 || second != 429 || members != 1 {
		t.Fatalf("the program printed %d, %d, %q, %d; %v", first, second, address, members, err)
	}
	return address
}

// embedding is a program of the README's code, which asks itself twice when it is ready,
// says where it gossips and how many replicas it sees, and ends with its input.
func embedding(code string) string {
	return `package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

func main() {
	ctx := context.Background()
` + code + `
	if err := node.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	fmt.Println(node.GossipAddress(), len(node.Members()))
	io.Copy(io.Discard, os.Stdin)
}
`
}
