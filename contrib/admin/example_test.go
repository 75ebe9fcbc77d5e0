package admin_test

import (
	"context"
	"crypto/subtle"
	"log"
	"net/http"
	"os"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/admin"
)

func Example() {
	node, err := cluster.Start(context.Background(), cluster.Config{DeniedKeys: 20})
	if err != nil {
		log.Fatal(err)
	}
	login := bucket.MustRule("login", "5/minute")
	password := os.Getenv("ADMIN_PASSWORD")
	handler, err := admin.New(node, admin.Options{
		Rules: func() []*bucket.Rule { return []*bucket.Rule{login} },
		Authorize: func(r *http.Request) bool {
			_, given, ok := r.BasicAuth()
			return ok && password != "" && subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 1
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/shoal/", http.StripPrefix("/shoal", handler))
}
