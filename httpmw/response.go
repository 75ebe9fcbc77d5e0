package httpmw

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response is a ResponseWriter that calls commit once, with the status, just before
// the header of the final response goes out. Flush, Hijack, ReadFrom and
// http.ResponseController work as they do without it.
type response struct {
	http.ResponseWriter
	status  int // of a response whose handler doesn't say
	commit  func(status int)
	settled bool
}

// settle calls commit, unless that was done. There is no lock: a ResponseWriter of
// net/http is for one goroutine at a time as well.
func (w *response) settle(status int) {
	if !w.settled {
		w.settled = true
		w.commit(status)
	}
}

func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // others are informational, and more follows
		w.settle(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin sends the header, if that wasn't done.
func (w *response) begin() {
	if !w.settled {
		w.WriteHeader(w.status)
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets io.Copy hand a file to the writer below, which may send it without
// copying.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, r)
}

// FlushError sends the header, if it hasn't been sent, and what was written.
func (w *response) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is FlushError for those who ask for an http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// Hijack takes over the connection, where that is possible.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.settle(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
