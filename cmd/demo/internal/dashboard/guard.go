package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxCommand is the longest body of a command.
const maxCommand = 4 << 10

// ours refuses requests under names of the host that another site could give it: with one
// of those its scripts would be of the same origin (DNS rebinding).
func ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		_, err = netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			refuse(w, http.StatusForbidden, fmt.Sprintf("this page answers to localhost or an IP address, not to %q", host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// command takes commands from this host alone, from pages of the same origin or from no
// page, in JSON: a form can't say that.
func command(carry func(r *http.Request, body []byte) (any, error)) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			refuse(w, http.StatusForbidden, "commands are taken from the host of the demo alone; looking is free")
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, "a command is application/json")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a command has up to %d bytes", maxCommand))
			return
		}
		answer, err := carry(r, body)
		switch {
		case errors.Is(err, errEnding):
			refuse(w, http.StatusServiceUnavailable, err.Error())
		case err != nil:
			refuse(w, http.StatusBadRequest, err.Error())
		default:
			answerJSON(w, http.StatusOK, answer)
		}
	}))
}

// decode reads a body of JSON into v, and nothing that v doesn't know.
func decode(body []byte, v any) error {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("the command can't be read: %w", err)
	}
	return nil
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(encode(v), '\n'))
}

// refuse says what is wrong.
func refuse(w http.ResponseWriter, status int, why string) {
	answerJSON(w, status, struct {
		Error string `json:"error"`
	}{why})
}
