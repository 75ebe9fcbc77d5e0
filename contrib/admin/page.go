package admin

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

//go:embed page.html
var pageText string

// view is what the page shows.
type view struct {
	Name    string
	Ready   bool
	Members []cluster.Member
	Holds   map[string]int // partitions by their holders, as far as is known here
	Metrics cluster.Metrics
	Rules   []rule
	Modes   []bucket.Mode
	Denied  []cluster.DeniedKey
	Result  *result
}

// page writes all of it, with what has been done at the top.
func (a *admin) page(w http.ResponseWriter, done *result) {
	v := view{
		Name: a.node.Name(), Ready: a.node.Ready(), Members: a.node.Members(), Metrics: a.node.Metrics(),
		Rules: a.rules(), Modes: []bucket.Mode{bucket.Enforce, bucket.Shadow, bucket.Off},
		Denied: a.denied(), Result: done, Holds: map[string]int{},
	}
	for _, p := range a.node.Table() {
		v.Holds[p.Holder]++
	}
	var page bytes.Buffer
	text, err := template.New("page").Parse(pageText)
	if err == nil {
		err = text.Execute(&page, v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if done != nil {
		w.WriteHeader(done.status())
	}
	_, _ = page.WriteTo(w)
}
