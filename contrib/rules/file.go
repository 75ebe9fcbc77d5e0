package rules

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// ErrClosed is what Reload returns after Close.
var ErrClosed = errors.New("rules: the file is closed")

const defaultInterval = 2 * time.Second

// Options say how a file is watched. The zero value is good.
type Options struct {
	// Interval is the time between two looks at the file; a change is taken up at
	// the second look that finds it. 0 means 2 s. Below 0 there are no looks, only
	// Reload, as for a program that reloads at SIGHUP.
	Interval time.Duration
	// Require has the names of the rules that the program asks for. A file that
	// lacks one of them is bad. Rules beyond them are fine.
	Require []string
	// Log is told of each new file, good or bad. nil discards it.
	Log *slog.Logger
	// OnChange is called with each new set, after it has come into force, and never
	// twice at a time. Rule goes on meanwhile; Reload and Close wait for it, so it
	// must not call them. nil is fine.
	OnChange func(*Set)
}

// File is the rules of a file as it is now, or as it was when it was last good. It
// is safe for concurrent use.
type File struct {
	path    string
	options Options
	now     atomic.Pointer[state]

	reloads chan chan error
	close   func() // once
	closing chan struct{}
	closed  chan struct{}
}

// state changes as a whole.
type state struct {
	set *Set
	err error // why the newest file isn't the set
}

// Open loads a file and watches it until Close. The error is Load's, with a fault for
// each rule of Options.Require that isn't there: there are no rules from before to go
// on with.
func Open(path string, options Options) (*File, error) {
	if options.Interval == 0 {
		options.Interval = defaultInterval
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	f := &File{
		path:    path,
		options: options,
		reloads: make(chan chan error),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	f.close = sync.OnceFunc(func() { close(f.closing) })
	found := look(path)
	set, err := f.parse(found)
	if err != nil {
		return nil, err
	}
	f.now.Store(&state{set: set})
	go f.run(watch{file: f, taken: found.print})
	return f, nil
}

// Rule returns the rule of that name that is in force. Ask for each request anew: a
// rule that the file has changed is another *bucket.Rule. ok is false for a name that
// isn't in the file, or is no more: Options.Require excludes that for names the
// program knows; where names come with the requests, decide what a stranger gets,
// such as a rule of a known name. It costs a look-up in a map, and waits for nothing.
func (f *File) Rule(name string) (rule *bucket.Rule, ok bool) { return f.Set().Rule(name) }

// Set returns all rules that are in force.
func (f *File) Set() *Set { return f.now.Load().set }

// Err says why the newest content of the file isn't in force: it has faults, lacks a
// required rule, or can't be read. It is nil once that is mended.
func (f *File) Err() error { return f.now.Load().err }

// Reload reads the file at once. The error is Err's, or ErrClosed.
func (f *File) Reload() error {
	answer := make(chan error, 1)
	select {
	case f.reloads <- answer:
		return <-answer
	case <-f.closing:
		return ErrClosed
	}
}

// Close stops watching, and waits until that is done. The rules stay as they are. It
// may be called again, and always returns nil.
func (f *File) Close() error {
	f.close()
	<-f.closed
	return nil
}

// parse makes a set of what was found.
func (f *File) parse(found content) (*Set, error) {
	if found.err != nil {
		return nil, found.err
	}
	set, err := Parse(f.path, found.data)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range f.options.Require {
		if _, ok := set.Rule(name); !ok {
			errs = append(errs, &Fault{File: f.path, Rule: name, Problem: "missing, and the program asks for it; write it below rules:"})
		}
	}
	return set, errors.Join(errs...)
}

// content is what one look at the file has found.
type content struct {
	data  []byte
	err   error
	print [sha256.Size]byte
}

func look(path string) content {
	data, err := read(path)
	if err != nil {
		return content{err: err, print: sha256.Sum256([]byte(err.Error()))}
	}
	return content{data: data, print: sha256.Sum256(data)}
}

// refused is the error of a file that isn't taken.
func refused(err error) error {
	return fmt.Errorf("rules: the rules from before stay in force: %w", err)
}
