package httpmw

import (
	"net/http"
	"strconv"
)

// values are the fields of an answer on their way into its header. What is not known
// beforehand is appended to a text by whoever sets them, so that all of it ends up in
// one string, the lists in one slice, and an answer costs two allocations, however
// many fields it has. The text isn't kept here, as it would leave the stack with the
// names.
type values struct {
	fields [maxValues]value
	n      int
}

// maxValues is how many fields one decision sets at most: four of a draft, three
// custom ones, Retry-After and Access-Control-Expose-Headers.
const maxValues = 9

// value is a field, its name in http.Header's form. What it says is known, or else it
// is that part of the text which ends there.
type value struct {
	name, known string
	end         int
}

// set sets a field to what is known.
func (v *values) set(name, known string) {
	v.fields[v.n] = value{name: name, known: known}
	v.n++
}

// end sets a field to what was appended to the text since the last.
func (v *values) end(name string, text []byte) []byte {
	v.fields[v.n] = value{name: name, end: len(text)}
	v.n++
	return text
}

// count sets a field, if it has a name, to a number.
func (v *values) count(name string, text []byte, n int64) []byte {
	if name == "" {
		return text
	}
	return v.end(name, appendCount(text, n))
}

// writeTo sets the fields in a header.
func (v *values) writeTo(h http.Header, text []byte) {
	if v.n == 0 {
		return
	}
	all, lists, begin := string(text), make([]string, v.n), 0
	for i := range v.n {
		f := &v.fields[i]
		if lists[i] = f.known; f.end > 0 {
			lists[i], begin = all[begin:f.end], f.end
		}
		h[f.name] = lists[i : i+1 : i+1]
	}
}

// appendCount appends a number as a structured field can hold it.
func appendCount(b []byte, n int64) []byte {
	return strconv.AppendInt(b, min(n, maxInteger), 10)
}
