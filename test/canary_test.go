package test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// canaries must not be found in anything that is logged or returned.
var canaries = map[string]string{
	"key": "canary-key-alice@example.org", "secret": "canary-secret-0123456789", "next secret": "canary-next-0123456789", "digest key": "canary-digest-0123456789",
}

// No key and no secret is in a log at its most talkative, in an error, in the metrics or
// in what is said of members, whatever goes wrong: refusals, a crash, a stranger, a
// replica whose DigestKey is another, calls that can't be made, panics.
func TestNothingSecretIsTold(t *testing.T) {
	story(t, func(f *fleet) {
		var told []string
		tell := func(what ...any) { told = append(told, fmt.Sprintf("%v %+v", what, what)) }
		canary := func(c *cluster.Config) {
			c.Secret, c.AcceptSecrets = []byte(canaries["secret"]), [][]byte{[]byte(canaries["next secret"])}
			c.DigestKey, c.Insecure = []byte(canaries["digest key"]), false
			tell(*c, c, slog.AnyValue(*c))
		}
		var logs []*logbook
		talkative := func(c *cluster.Config) {
			l := &logbook{}
			logs = append(logs, l)
			c.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		f.start(3, canary, talkative)
		f.ready(formTime, f.replicas...)
		one := f.replicas[0]
		rules := []*bucket.Rule{
			bucket.MustRule("api", "2/hour"), bucket.MustRule("deny", "2/hour", bucket.WithFailurePolicy(bucket.Deny)),
			bucket.MustRule("slots", "1 concurrent"), nil,
		}
		key := canaries["key"]
		everything := func() {
			for _, rule := range rules {
				for _, tokens := range []int64{1, 1, 1, 9, -1} {
					d, err := one.Take(f.Context(), rule, key, tokens)
					tell(d, err)
					if rule != nil && err == nil {
						tell(one.Refund(f.Context(), rule, key, d.Receipt), one.Reset(f.Context(), rule, key))
					}
				}
				release, d, err := one.Acquire(f.Context(), rule, key)
				tell(d, err)
				release()
				done, cancel := context.WithCancel(f.Context())
				cancel()
				_, err = one.Take(done, rule, key, 1)
				tell(err)
			}
			tell(one.Metrics(), one.Members())
		}
		everything()
		f.startOn(f.net.Host("10.0.0.8"), canary, talkative, func(c *cluster.Config) {
			c.Name, c.DigestKey = "other-digest", []byte(canaries["next secret"])
		})
		f.startOn(f.net.Host("10.0.0.9"), secret(theirs), talkative, func(c *cluster.Config) { c.Name = "other-secret" })
		f.isStrange("a stranger", one, nil)
		f.replicas[1].host.Crash()
		for range 20 {
			everything()
			time.Sleep(100 * time.Millisecond)
		}
		f.replicas[2].end()
		everything()
		one.end()
		everything()
		_, err := cluster.Start(f.Context(), cluster.Config{Bind: "x", Secret: []byte(canaries["secret"])[:15], DigestKey: []byte(canaries["digest key"])[:15]})
		tell(err)

		for _, l := range logs {
			if len(l.String()) < 200 {
				t.Errorf("hardly anything was logged: %q", l)
			}
			told = append(told, l.String())
		}
		for what, text := range canaries {
			text = text[:15]
			for _, form := range []string{text, hex.EncodeToString([]byte(text)), base64.StdEncoding.EncodeToString([]byte(text)), strings.Trim(fmt.Sprint([]byte(text)), "[]")} {
				for _, said := range told {
					if i := strings.Index(said, form); i >= 0 {
						t.Fatalf("the %s: %q", what, said[max(0, i-200):min(len(said), i+200)])
					}
				}
			}
		}
	})
}
