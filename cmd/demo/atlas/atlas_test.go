package atlas

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

func ExampleEmbedded() {
	names, err := Embedded(context.Background())
	fmt.Println(len(names), names[0], err)
	// Output: 7 Africa <nil>
}

// What the program knows is what continents.sql puts into a database.
func TestEmbeddedIsTheTable(t *testing.T) {
	names, err := Embedded(t.Context())
	if err != nil || !slices.IsSorted(names) {
		t.Fatal(names, err)
	}
	script, err := os.ReadFile("continents.sql")
	if err != nil {
		t.Fatal(err)
	}
	if want := "('" + strings.Join(names, "'), ('") + "');\n"; !strings.HasSuffix(string(script), want) {
		t.Errorf("continents.sql doesn't end with %s", want)
	}
}

// A name that makes no sense is told at once, and without its password.
func TestOpenFaults(t *testing.T) {
	for _, dsn := range []string{"nonsense", "user:hunter2@tcp(host:3306", "user:hunter2@tcp(host:3306)/", "user:hunter2@udpx(host)/db?timeout=x", "mysql://user:hunter2@host/db"} {
		db, err := Open(dsn, slog.New(slog.DiscardHandler))
		if err == nil {
			db.Close()
			t.Errorf("%q is fine", dsn)
		} else if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "want user:password@") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

// A database that is away is an error of each call, and ends nothing.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	db, err := Open("user:hunter2@tcp("+address+")/world", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if names, err := db.List(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") || names != nil {
			t.Errorf("%v, %v from nobody", names, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A database that accepts and says nothing costs a caller no more than it has.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel accepts by itself
	db, err := Open("user@tcp("+l.Addr().String()+")/world", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if names, err := db.List(ctx); err == nil {
		t.Errorf("%v from a silent database", names)
	}
}
