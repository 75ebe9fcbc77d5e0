// Package rules reads rules from a YAML file and keeps them up to date while they
// are in use. A whole file, with all that there is in one:
//
//	rules:
//	  # The short form, what bucket.ParseRule reads:
//	  api: 100/second burst 200
//	  webhook: 5 per 100ms; penalty 20/hour fixed; policy allow
//
//	  # The long form:
//	  login:
//	    limits: 5/second; daily = 100/day fixed   # rate strings, each after its name if it has one
//	    penalty: 20/hour                          # a limit on refusals
//	    policy: deny                              # local share (the default), allow or deny
//	    mode: shadow                              # enforce (the default), shadow or off
//
//	  # Limits as a list, of rate strings or of their parts:
//	  search:
//	    limits:
//	      - 10/second leaky burst 20
//	      - {name: hourly, count: 1000, per: hour, algorithm: sliding}
//	      - {count: 5, per: 100ms, burst: 10}
//
// The name of a rule is the identity of its state (see [bucket.Rule]). Of a limit's
// parts only count is always required; per is what stands between "per" and the
// algorithm in a rate string, and algorithm what stands after it and is no burst, as
// "fixed aligned". So whatever package bucket learns to read can stand in a file as
// well. JSON is YAML, so the file may be JSON.
//
// A file is accepted whole or not at all. The error has everything that is wrong,
// each as a [*Fault] with its line, its column and the remedy: unknown fields, names
// given twice, texts that say no limit, a file without rules. It may hold one
// document of at most MaxSize bytes, and no aliases or tags: whoever reads about a
// rule sees all of it in one place, and nothing unfolds to more than is written.
//
// [Open] loads a file and watches it:
//
//	file, err := rules.Open("/etc/shop/rules.yaml", rules.Options{Log: logger, Require: []string{"login"}})
//	...
//	defer file.Close()
//	...
//	rule, _ := file.Rule("login") // for each request anew
//	decision, err := node.Take(ctx, rule, user, 1)
//
// The file is read every few seconds and compared; a change counts once two looks
// have found the same, so a file that is being written isn't taken by halves. No
// notices of the operating system are needed, so it works with the symbolic links
// of a Kubernetes ConfigMap, with editors that rename, and on network drives.
//
// A bad new file changes nothing: the rules from before stay in force, it is
// logged, and [File.Err] says so until the file is mended. Name in Options.Require
// the rules that the program asks for, and a file that lacks one is a bad file.
//
// Every replica reads its own copy, and needn't do so at the same time: a limit with
// other numbers keeps what was consumed. A rule that is written as before stays the
// same *bucket.Rule, and keeps the mode that was set with SetMode, until the file
// gives it another.
//
// YAML is read by go.yaml.in/yaml/v4, the maintained heir of gopkg.in/yaml: it is in
// active development by the YAML organization, has no dependencies, knows the line
// and the column of everything, and bounds the depth. So this package needs no
// module of its own: only a program that imports it links anything more.
package rules

import (
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/shoal-dev/shoal/bucket"
)

// MaxSize is the largest size of a file, in bytes: that of a Kubernetes ConfigMap,
// and ten thousand rules or more.
const MaxSize = 1 << 20

// Set is the rules of one file. It is safe for concurrent use.
type Set struct {
	names   []string
	entries map[string]entry
}

// entry is a rule and what the file said of it; the rule's mode may have been
// changed since.
type entry struct {
	rule *bucket.Rule
	text string // all but the mode
	mode bucket.Mode
}

// Parse reads the text of a file; name stands for it in errors. The error joins one
// *Fault for each thing that is wrong, or for the first hundred.
func Parse(name string, data []byte) (*Set, error) {
	p := &parser{file: name}
	set := &Set{entries: map[string]entry{}}
	if root := p.document(data); root != nil {
		p.rules(root, set)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return set, nil
}

// Load reads a file, which must be a regular one. The error is that of Parse or of
// package os.
func Load(path string) (*Set, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// read returns a file's content; one byte more than MaxSize stands for all beyond.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if !info.Mode().IsRegular() { // a pipe would keep its reader waiting
		return nil, fmt.Errorf("rules: %s is no regular file; give the path of a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return data, nil
}

// Rule returns the rule of that name; ok is false where there is none.
func (s *Set) Rule(name string) (rule *bucket.Rule, ok bool) {
	e, ok := s.entries[name]
	return e.rule, ok
}

// Names returns the names of all rules, in the order of the file.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// All goes over the rules in the order of the file.
func (s *Set) All() iter.Seq[*bucket.Rule] {
	return func(yield func(*bucket.Rule) bool) {
		for _, name := range s.names {
			if !yield(s.entries[name].rule) {
				return
			}
		}
	}
}
