package rules

import (
	"crypto/sha256"
	"time"
)

// watch is the one goroutine that reads a File again, and what it knows.
type watch struct {
	file  *File
	taken [sha256.Size]byte // the print of what was parsed last, good or bad
	last  [sha256.Size]byte // of what the last look found
}

func (f *File) run(w watch) {
	defer close(f.closed)
	var looks <-chan time.Time
	if f.options.Interval > 0 {
		ticker := time.NewTicker(f.options.Interval)
		defer ticker.Stop()
		looks = ticker.C
	}
	for {
		select {
		case <-f.closing:
			return
		case answer := <-f.reloads:
			w.take(look(f.path))
			answer <- f.Err()
		case <-looks:
			found := look(f.path)
			if found.print == w.last {
				w.take(found)
			}
			w.last = found.print
		}
	}
}

// take brings into force what was found, unless it is bad or was taken before.
func (w *watch) take(found content) {
	if found.print == w.taken {
		return
	}
	w.taken = found.print
	f, log := w.file, w.file.options.Log.With("file", w.file.path)
	old := f.Set()
	set, err := f.parse(found)
	if err != nil {
		log.Error("the new rules are refused; the ones from before stay in force", "error", err)
		f.now.Store(&state{set: old, err: refused(err)})
		return
	}
	changed := set.follow(old)
	f.now.Store(&state{set: set})
	log.Info("new rules are in force", "rules", len(set.names), "changed", changed, "removed", old.without(set))
	if f.options.OnChange != nil {
		f.options.OnChange(set)
	}
}

// follow takes over from an older set the rules that are written the same, and the
// modes that the file doesn't change. It returns the names of the others.
func (s *Set) follow(old *Set) (changed []string) {
	for _, name := range s.names {
		e := s.entries[name]
		before, ok := old.entries[name]
		same := ok && before.text == e.text
		if !same || before.mode != e.mode {
			changed = append(changed, name)
		}
		mode := e.mode
		if ok && before.mode == e.mode {
			mode = before.rule.Mode()
		}
		if same {
			e.rule = before.rule
		}
		if e.rule.Mode() != mode {
			e.rule.SetMode(mode) // a mode that is one, of a rule that is one: no error
		}
		s.entries[name] = e
	}
	return changed
}

// without returns the names that aren't in another set.
func (s *Set) without(other *Set) (names []string) {
	for _, name := range s.names {
		if _, ok := other.entries[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}
