package test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// A cluster that lives through a crash, a split and a restart says nothing of its keys
// and secrets: not in its logs at any level, not in its metrics, not in what an error or
// a String says (S2, S16).
func TestNobodyTellsKeysOrSecrets(t *testing.T) {
	const key, digestKey = "canary@example.org", "a digest key nobody may see"
	story(t, func(f *fleet) {
		books := map[string]*logbook{}
		f.start(3, secret(ours), func(c *cluster.Config) {
			book := &logbook{}
			books[c.Name] = book
			c.DigestKey = []byte(digestKey)
			c.DeniedKeys = 10
			c.Log = slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c.Log.Debug("starting", "config", *c)
		})
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("login", "1/hour")
		said := ""
		for range 3 {
			for _, r := range f.replicas[:2] {
				_, err := r.Take(f.Context(), rule, key, 1)
				said += fmt.Sprint(err, r.Reset(f.Context(), rule, key), r.Refund(f.Context(), rule, key, bucket.Receipt{}))
				_, err = r.Take(f.Context(), rule, key, -1)
				said += fmt.Sprint(err)
				metrics, err := json.Marshal(r.Metrics())
				said += string(metrics) + fmt.Sprint(err, r.Members())
			}
			f.net.Partition(hosts(f.replicas[:2]), hosts(f.replicas[2:]))
			time.Sleep(3 * time.Second)
			f.net.HealAll()
			time.Sleep(3 * time.Second)
		}
		for name, book := range books {
			if text := book.String(); !strings.Contains(text, "level=DEBUG") || !strings.Contains(text, "Secret:given") {
				t.Errorf("%s logged too little to tell:\n%s", name, text)
			}
			said += book.String()
		}
		for _, hidden := range []string{key, ours, digestKey, fmt.Sprint([]byte(ours)), fmt.Sprintf("%x", ours), fmt.Sprintf("%x", digestKey)} {
			if i := strings.Index(said, hidden); i >= 0 {
				t.Errorf("%q is in %q", hidden, said[max(0, i-100):min(len(said), i+100)])
			}
		}
	})
}
