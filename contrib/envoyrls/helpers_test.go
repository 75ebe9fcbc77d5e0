package envoyrls_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// request makes a request of "key=value key=value, key=value": descriptors between
// commas.
func request(domain, descriptors string) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: domain}
	for text := range strings.SplitSeq(descriptors, ",") {
		d := &common.RateLimitDescriptor{}
		for entry := range strings.FieldsSeq(text) {
			key, value, _ := strings.Cut(entry, "=")
			d.Entries = append(d.Entries, &common.RateLimitDescriptor_Entry{Key: key, Value: value})
		}
		r.Descriptors = append(r.Descriptors, d)
	}
	return r
}

// words puts an answer as "OVER_LIMIT: OK 3, OVER_LIMIT 0": overall, and then the
// code of each descriptor with what remains, where there is a limit.
func words(response *rls.RateLimitResponse, err error) string {
	if err != nil {
		return err.Error()
	}
	var statuses []string
	for _, s := range response.Statuses {
		text := s.Code.String()
		if s.CurrentLimit != nil || s.LimitRemaining > 0 {
			text += fmt.Sprint(" ", s.LimitRemaining)
		}
		statuses = append(statuses, text)
	}
	return response.OverallCode.String() + ": " + strings.Join(statuses, ", ")
}

// alone is a cluster of one, which ends with the test, in a bubble.
func alone(t *testing.T) *cluster.Node {
	t.Helper()
	node, err := cluster.Start(t.Context(), cluster.Config{})
	ok(t, err)
	t.Cleanup(func() { ok(t, node.Close(context.Background())) })
	time.Sleep(time.Microsecond) // a node gives nothing back that is of its first instant
	return node
}

func service(t *testing.T, l envoyrls.Limiter, source envoyrls.Source, options envoyrls.Options) *envoyrls.Service {
	t.Helper()
	s, err := envoyrls.New(l, source, options)
	ok(t, err)
	return s
}

func config(t *testing.T, text string, options ...bucket.RuleOption) *envoyrls.Config {
	t.Helper()
	c, err := envoyrls.ParseConfig("config.yaml", []byte(text), options...)
	ok(t, err)
	return c
}

func ruleSource(t *testing.T, text string) envoyrls.Source {
	t.Helper()
	set, err := rules.Parse("rules.yaml", []byte(text))
	ok(t, err)
	return envoyrls.Rules(func() *rules.Set { return set })
}

// expect asks a service, and compares the words of its answer.
func expect(t *testing.T, s *envoyrls.Service, r *rls.RateLimitRequest, want string) {
	t.Helper()
	if got := words(s.ShouldRateLimit(t.Context(), r)); got != want {
		t.Errorf("%s %v:\n got %s\nwant %s", r.Domain, r.Descriptors, got, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
