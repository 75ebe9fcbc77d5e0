package rules_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// open opens a file that only Reload reads again, unless options say otherwise.
func open(t *testing.T, path string, options rules.Options) *rules.File {
	t.Helper()
	if options.Interval == 0 {
		options.Interval = -1
	}
	f, err := rules.Open(path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func rule(t *testing.T, f *rules.File, name string) *bucket.Rule {
	t.Helper()
	r, ok := f.Rule(name)
	if !ok {
		t.Fatalf("no rule %q", name)
	}
	return r
}

func TestReloadKeepsWhatIsWrittenTheSame(t *testing.T) {
	path := write(t, "rules: {same: 1/day, numbers: 1/day, mode: 1/day, gone: 1/day}")
	f := open(t, path, rules.Options{})
	same, numbers, mode := rule(t, f, "same"), rule(t, f, "numbers"), rule(t, f, "mode")

	rewrite(t, path, "# another text\nrules:\n  new: 1/day\n  mode: 1/day; mode shadow\n  numbers: 2/day\n  same: {limits: 1 per day}")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := rule(t, f, "same"); got != same {
		t.Error("a rule that is written the same in other words is another one")
	}
	if got := rule(t, f, "mode"); got != mode || got.Mode() != bucket.Shadow {
		t.Errorf("the mode of a rule that somebody may hold is %v", mode.Mode())
	}
	if got := rule(t, f, "numbers"); got == numbers || got.Capacity() != 2 || numbers.Capacity() != 1 {
		t.Errorf("numbers: %v, and before %v", got, numbers)
	}
	if _, ok := f.Rule("gone"); ok {
		t.Error("a rule that isn't in the file any more is found")
	}
	rule(t, f, "new")
}

func TestModesSetAtRunTimeAreKeptUntilTheFileSaysOtherwise(t *testing.T) {
	path := write(t, "rules: {a: 1/day, b: 1/day; mode off}")
	f := open(t, path, rules.Options{})
	for _, step := range []struct {
		set  [2]bucket.Mode // at run time, before
		file string
		want [2]bucket.Mode
	}{
		{[2]bucket.Mode{bucket.Shadow, bucket.Enforce}, "rules: {b: 1/day; mode off, a: 1/day}", [2]bucket.Mode{bucket.Shadow, bucket.Enforce}},
		{[2]bucket.Mode{bucket.Shadow, bucket.Enforce}, "rules: {a: 2/day, b: 2/day; mode off}", [2]bucket.Mode{bucket.Shadow, bucket.Enforce}},
		{[2]bucket.Mode{bucket.Shadow, bucket.Enforce}, "rules: {a: 2/day; mode off, b: 2/day; mode shadow}", [2]bucket.Mode{bucket.Off, bucket.Shadow}},
		{[2]bucket.Mode{bucket.Shadow, bucket.Off}, "rules: {a: 3/day; mode enforce, b: 3/day; mode enforce}", [2]bucket.Mode{bucket.Enforce, bucket.Enforce}},
	} {
		a, b := rule(t, f, "a"), rule(t, f, "b")
		if err := errors.Join(a.SetMode(step.set[0]), b.SetMode(step.set[1])); err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, step.file)
		if err := f.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := [2]bucket.Mode{rule(t, f, "a").Mode(), rule(t, f, "b").Mode()}; got != step.want {
			t.Errorf("%s: modes %v, want %v", step.file, got, step.want)
		}
	}
}

// TestStateOutlivesAReload shows that changed numbers keep what was consumed.
func TestStateOutlivesAReload(t *testing.T) {
	path := write(t, "rules: {a: 10/day}")
	f := open(t, path, rules.Options{})
	store := bucket.NewStore(bucket.StoreConfig{})
	store.Take(rule(t, f, "a"), "alice", 8, 0)
	rewrite(t, path, "rules: {a: 20/day}")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := store.Take(rule(t, f, "a"), "alice", 1, 0); d.Remaining != 11 {
		t.Errorf("%d of 20 remain after 8 and 1", d.Remaining)
	}
}

func TestABadFileChangesNothing(t *testing.T) {
	path := write(t, "rules: {a: 1/day, b: 1/day}")
	var log strings.Builder
	changes := 0
	f := open(t, path, rules.Options{
		Require:  []string{"a"},
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
		OnChange: func(*rules.Set) { changes++ },
	})
	a := rule(t, f, "a")
	for _, tt := range []struct{ text, want string }{
		{"rules: {a: 2/day, b: x}", path + `:1:22: rule "b": part 1: `},
		{"rules: {c: 2/day}", path + `: rule "a": missing, and the program asks for it; write it below rules:`},
		{"", path + ":1:1: the file is empty"},
	} {
		rewrite(t, path, tt.text)
		err := f.Reload()
		if err == nil || !strings.HasPrefix(err.Error(), "rules: the rules from before stay in force: "+tt.want) {
			t.Fatalf("%q: %v", tt.text, err)
		}
		if got := f.Err(); got != err {
			t.Errorf("%q: Err is %v", tt.text, got)
		}
		if again := f.Reload(); again != err {
			t.Errorf("%q: reloaded again: %v", tt.text, again)
		}
		if rule(t, f, "a") != a || rule(t, f, "b").Capacity() != 1 {
			t.Errorf("%q: rules are %s", tt.text, lines(f.Set()))
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "file="+path) {
			t.Errorf("%q: logged %s", tt.text, log.String())
		}
		log.Reset()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); !errors.Is(err, fs.ErrNotExist) || f.Err() != err || rule(t, f, "a") != a {
		t.Errorf("without a file: %v", err)
	}
	if changes != 0 {
		t.Errorf("%d changes are told of", changes)
	}
	log.Reset()

	rewrite(t, path, "rules: {a: 1/day, c: 1/day}")
	if err := f.Reload(); err != nil || f.Err() != nil || rule(t, f, "a") != a {
		t.Errorf("mended: %v, %v", err, f.Err())
	}
	if got := log.String(); changes != 1 || !strings.Contains(got, "rules=2 changed=[c] removed=[b]") {
		t.Errorf("%d changes; logged %s", changes, got)
	}
}

func TestOpenNeedsGoodRules(t *testing.T) {
	if f, err := rules.Open(filepath.Join(t.TempDir(), "no"), rules.Options{}); f != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", f, err)
	}
	path := write(t, "rules: {a: 1/day}")
	_, err := rules.Open(path, rules.Options{Require: []string{"a", "b", "c"}})
	if want := fmt.Sprintf("%[1]s: rule \"b\": %[2]s\n%[1]s: rule \"c\": %[2]s", path, "missing, and the program asks for it; write it below rules:"); fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTheFileIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, "rules: {a: 1/day}")
		f := open(t, path, rules.Options{Interval: time.Second})
		look := func(text string) int64 {
			t.Helper()
			rewrite(t, path, text)
			time.Sleep(time.Second)
			synctest.Wait()
			return rule(t, f, "a").Capacity()
		}
		time.Sleep(500 * time.Millisecond) // between two looks
		for _, step := range []struct {
			text string
			want int64
			bad  bool
		}{
			{"rules: {a: 1/day}", 1, false},
			{"rules: {a: 2/day", 1, false}, // half written
			{"rules: {a: 2/day}", 1, false},
			{"rules: {a: 2/day}", 2, false},
			{"rules: {a: 3/day", 2, false},
			{"rules: {a: 3/day", 2, true},
			{"rules: {a: 2/day}", 2, true},
			{"rules: {a: 2/day}", 2, false},
		} {
			if got := look(step.text); got != step.want || (f.Err() != nil) != step.bad {
				t.Errorf("%q: %d, want %d; %v", step.text, got, step.want, f.Err())
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		look("rules: {a: 9/day}")
		if got := look("rules: {a: 9/day}"); got != 2 {
			t.Errorf("%d after Close", got)
		}
	})
}

// TestLinksAreFollowed swaps a link as Kubernetes does with the files of a ConfigMap.
func TestLinksAreFollowed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"one": "rules: {a: 1/day}", "two": "rules: {a: 2/day}"} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o700), os.WriteFile(filepath.Join(dir, name, "rules.yaml"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	data, path := filepath.Join(dir, "..data"), filepath.Join(dir, "rules.yaml")
	if err := errors.Join(os.Symlink("one", data), os.Symlink(filepath.Join("..data", "rules.yaml"), path)); err != nil {
		t.Fatal(err)
	}
	f := open(t, path, rules.Options{})
	if err := errors.Join(os.Symlink("two", data+"_tmp"), os.Rename(data+"_tmp", data), f.Reload()); err != nil {
		t.Fatal(err)
	}
	if got := rule(t, f, "a").Capacity(); got != 2 {
		t.Errorf("%d after the swap", got)
	}
}

func TestClose(t *testing.T) {
	f := open(t, write(t, "rules: {a: 1/day}"), rules.Options{Interval: time.Hour})
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := f.Reload(); err != rules.ErrClosed {
		t.Errorf("Reload: %v", err)
	}
	rule(t, f, "a")
}

func TestRulesAreLookedUpWhileTheyChange(t *testing.T) {
	path := write(t, "rules: {a: 1/day, b: 1/day}")
	f := open(t, path, rules.Options{})
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				set := f.Set()
				a, _ := set.Rule("a")
				b, _ := set.Rule("b")
				if a.Capacity() != b.Capacity() || a.Mode() == bucket.Off || f.Err() != nil {
					t.Errorf("%v and %v are of two files; %v", a, b, f.Err())
					return
				}
			}
		})
	}
	for i := range 2 {
		writers.Go(func() {
			for n := range 100 {
				if i == 0 {
					text := fmt.Sprintf("rules: {a: %d/day; mode shadow, b: %[1]d/day}", n/2+1)
					tmp := path + ".new"
					if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, path)); err != nil {
						t.Error(err)
					}
				}
				if err := f.Reload(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if got := rule(t, f, "a"); got.Capacity() != 50 {
		t.Errorf("%v at the end", got)
	}
}
