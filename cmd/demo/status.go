package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/shoal-dev/shoal/cluster"
)

// clusterView is the answer of /cluster. Replicas that agree give the same.
type clusterView struct {
	Members []clusterMember `json:"members"` // by name
	Table   string          `json:"table"`   // the hash of the table of owners, in hexadecimal
}

type clusterMember struct {
	Name       string `json:"name"`
	Address    string `json:"address"` // where it takes hits from the others
	Partitions int    `json:"partitions"`
}

// members shows the cluster as this replica sees it.
func members(node *cluster.Node) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		view := clusterView{Table: fmt.Sprintf("%016x", node.TableHash())}
		for _, m := range node.Members() {
			view.Members = append(view.Members, clusterMember{m.Name, m.Address, m.Partitions})
		}
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, http.StatusOK, view)
	}
}

// healthz says that the server serves.
func healthz() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }
}

// readyz says whether it should be sent traffic.
func readyz(ready func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			writeText(w, http.StatusServiceUnavailable, "not ready\n")
			return
		}
		writeText(w, http.StatusOK, "ready\n")
	}
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// writeJSON writes v, which is of a type that always marshals.
func writeJSON(w http.ResponseWriter, status int, v any) {
	writeJSONAs(w, "application/json", status, v)
}

func writeJSONAs(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone
}

// refuse answers with a problem document (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSONAs(w, "application/problem+json", status, struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
}
