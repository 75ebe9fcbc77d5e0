package rules

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// parser collects what is wrong with a file while it is read.
type parser struct {
	file   string
	faults []error
	count  int // of the faults, those left out included
}

// document returns the root of the file's only document, or nil and a fault.
func (p *parser) document(data []byte) *yaml.Node {
	if len(data) > MaxSize {
		p.add(&Fault{Problem: "the file is over 1 MiB; split it, or leave out comments"})
		return nil
	}
	if line, column, ok := unreadable(data); ok {
		p.add(&Fault{Line: line, Column: column, Problem: "a byte that is no text; write the file in UTF-8"})
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false)) // which fields tells better
	if err != nil {
		p.syntax(err)
		return nil
	}
	var doc, next yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		p.add(&Fault{Line: 1, Column: 1, Problem: "the file is empty; write rules: and, below it, the rules"})
		return nil
	case err != nil:
		p.syntax(err)
		return nil
	}
	switch err := loader.Load(&next); {
	case err == nil:
		p.fault(&next, place{}, "another document begins; put all rules below one rules:")
	case !errors.Is(err, io.EOF):
		p.syntax(err)
	}
	if p.count > 0 {
		return nil
	}
	return doc.Content[0]
}

// syntax adds what the YAML library says.
func (p *parser) syntax(err error) {
	f := &Fault{Problem: err.Error(), cause: err}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		f.Line, f.Column, f.Problem = e.Mark.Line, e.Mark.Column, e.Message
		if e.ContextMsg != "" {
			f.Problem = e.ContextMsg + ": " + e.Message
		}
		if c := e.ContextMark; c.Line > 0 && c.Line < f.Line { // where it began is nearer to the fault than the end
			f.Line, f.Column = c.Line, c.Column
		}
	}
	f.Problem = "not YAML: " + f.Problem
	p.add(f)
}

// unreadable finds the first byte that isn't UTF-8, or is a control character that
// YAML doesn't know; the library doesn't say where.
func unreadable(data []byte) (line, column int, found bool) {
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xfffe, r == 0xffff:
			return line, column, true
		case r == '\n':
			line, column = line+1, 0
		}
		data = data[size:]
		column++
	}
	return 0, 0, false
}
