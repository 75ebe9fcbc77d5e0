package envoyrls_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
	"github.com/shoal-dev/shoal/httpmw"
)

// golden compares whole answers, both in the protocol's JSON.
func golden(t *testing.T, s *envoyrls.Service, ask, want string) {
	t.Helper()
	var r rls.RateLimitRequest
	var w rls.RateLimitResponse
	ok(t, protojson.Unmarshal([]byte(ask), &r))
	ok(t, protojson.Unmarshal([]byte(want), &w))
	got, err := s.ShouldRateLimit(t.Context(), &r)
	ok(t, err)
	if !proto.Equal(got, &w) {
		t.Errorf("%s\n got %s\nwant %s", ask, protojson.Format(got), protojson.Format(&w))
	}
}

// TestGoldenAnswers has requests as Envoy's reference makes them of its rate limit
// actions: generic_key, remote_address, source_cluster and destination_cluster,
// request_headers, header_value_match, and hits_addend.
func TestGoldenAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service(t, alone(t), config(t, `
domain: envoy
descriptors:
  - {key: generic_key, value: "some_value", rate_limit: {name: api, unit: hour, requests_per_unit: 4}}
  - {key: remote_address, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: source_cluster, descriptors: [{key: destination_cluster, value: to, rate_limit: {unit: minute, requests_per_unit: 2}}]}
  - {key: header_match, value: quiet, rate_limit: {unlimited: true}}
  - {key: x-tenant, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 0}}
`), envoyrls.Options{})
		time.Sleep(10*time.Second + 100*time.Millisecond) // into the minute, and the second
		golden(t, s, `{"domain": "envoy", "descriptors": [
			{"entries": [{"key": "generic_key", "value": "some_value"}]},
			{"entries": [{"key": "remote_address", "value": "10.0.0.1"}]},
			{"entries": [{"key": "source_cluster", "value": "from"}, {"key": "destination_cluster", "value": "to"}]},
			{"entries": [{"key": "header_match", "value": "quiet"}]},
			{"entries": [{"key": "x-tenant", "value": "acme"}]},
			{"entries": [{"key": "path", "value": "/"}]}
		]}`, `{"overallCode": "OK", "statuses": [
			{"code": "OK", "currentLimit": {"name": "api", "requestsPerUnit": 4, "unit": "HOUR"}, "limitRemaining": 3, "durationUntilReset": "3590s"},
			{"code": "OK", "currentLimit": {"requestsPerUnit": 1, "unit": "SECOND"}, "limitRemaining": 0, "durationUntilReset": "1s"},
			{"code": "OK", "currentLimit": {"requestsPerUnit": 2, "unit": "MINUTE"}, "limitRemaining": 1, "durationUntilReset": "50s"},
			{"code": "OK", "limitRemaining": 4294967295},
			{"code": "OK", "currentLimit": {"requestsPerUnit": 0, "unit": "YEAR"}, "durationUntilReset": "0s"},
			{"code": "OK"}
		]}`)
		golden(t, s, `{"domain": "envoy", "hitsAddend": 4, "descriptors": [{"entries": [{"key": "generic_key", "value": "some_value"}]}]}`,
			`{"overallCode": "OVER_LIMIT", "statuses": [{"code": "OVER_LIMIT", "currentLimit": {"name": "api", "requestsPerUnit": 4, "unit": "HOUR"}, "limitRemaining": 3, "durationUntilReset": "3590s"}]}`)
		golden(t, s, `{"domain": "envoy", "descriptors": [{"entries": [{"key": "remote_address", "value": "10.0.0.1"}], "limit": {"requestsPerUnit": 7, "unit": "MONTH"}}]}`,
			`{"overallCode": "OK", "statuses": [{"code": "OK", "currentLimit": {"requestsPerUnit": 7, "unit": "MONTH"}, "limitRemaining": 6, "durationUntilReset": "`+untilMonth()+`s"}]}`)
	})
}

// untilMonth is how long the 30 days since the epoch go on that have begun, which is
// what a month is here.
func untilMonth() string {
	month := 30 * 24 * time.Hour
	rest := month - time.Duration(time.Now().UnixNano())%month
	return fmt.Sprint(int64((rest + time.Second - 1) / time.Second))
}

// TestUnitsOfRules: a window that is no unit of the protocol's has none.
func TestUnitsOfRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service(t, alone(t), ruleSource(t, `rules:
  d/a: per-quarter = 5000000000 per 15 minutes fixed aligned
  d/b: 1/year calendar
  d/c: 10/second burst 30
`), envoyrls.Options{})
		golden(t, s, `{"domain": "d", "descriptors": [{"entries": [{"key": "a", "value": "1"}]}, {"entries": [{"key": "b", "value": "1"}]}, {"entries": [{"key": "c", "value": "1"}]}]}`,
			`{"overallCode": "OK", "statuses": [
			{"code": "OK", "currentLimit": {"name": "per-quarter", "requestsPerUnit": 4294967295, "unit": "UNKNOWN"}, "limitRemaining": 4294967295, "durationUntilReset": "900s"},
			{"code": "OK", "currentLimit": {"requestsPerUnit": 1, "unit": "YEAR"}, "durationUntilReset": "31622400s"},
			{"code": "OK", "currentLimit": {"requestsPerUnit": 10, "unit": "SECOND"}, "limitRemaining": 29, "durationUntilReset": "1s"}
		]}`)
	})
}

func TestHeaders(t *testing.T) {
	const text = `{domain: d, descriptors: [
		{key: a, rate_limit: {unit: minute, requests_per_unit: 2}}, {key: b, rate_limit: {unit: hour, requests_per_unit: 1}},
		{key: c, rate_limit: {unlimited: true}}]}`
	for _, c := range []struct {
		headers func(http.Header, *bucket.Rule, bucket.Decision)
		steps   [][2]string
	}{
		{nil, [][2]string{{"a=1", ""}}},
		{envoyrls.RateLimitHeaders, [][2]string{
			{"x=1, c=1", ""},
			{"a=1, b=1, c=1", "ratelimit-limit: 1, ratelimit-remaining: 0, ratelimit-reset: 3600"},
			{"a=1, b=1", "ratelimit-limit: 1, ratelimit-remaining: 0, ratelimit-reset: 3600"},
			{"a=1", "ratelimit-limit: 2, ratelimit-remaining: 0, ratelimit-reset: 60"},
			{"a=1, b=1", "ratelimit-limit: 1, ratelimit-remaining: 0, ratelimit-reset: 3600"}, // the longest
			{"a=1, a=2", "ratelimit-limit: 2, ratelimit-remaining: 0, ratelimit-reset: 60"},
		}},
		{httpmw.SetHeaders, [][2]string{
			{"a=1", `ratelimit: "2 per 1 minute fixed aligned";r=1;t=60, ratelimit-policy: "2 per 1 minute fixed aligned";q=2;w=60`},
			{"a=1, a=1", `ratelimit: "2 per 1 minute fixed aligned";r=0;t=60, ratelimit-policy: "2 per 1 minute fixed aligned";q=2;w=60, retry-after: 60`},
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := service(t, alone(t), config(t, text), envoyrls.Options{Headers: c.headers})
			for _, step := range c.steps {
				response, err := s.ShouldRateLimit(t.Context(), request("d", step[0]))
				ok(t, err)
				var fields []string
				for _, h := range response.ResponseHeadersToAdd {
					fields = append(fields, h.Key+": "+h.Value)
				}
				if got := strings.Join(fields, ", "); got != step[1] {
					t.Errorf("%s:\n got %s\nwant %s", step[0], got, step[1])
				}
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t, `
domain: d
descriptors:
  - {key: a, value: "1", quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}, metadata: {service: {name: one, n: [1, 2.5, true, ~, 2001-01-01]}, first: 1}}
  - {key: a, value: "2", quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 2}, metadata: {service: {name: two, more: yes}, first: 2}}
`)
		s := service(t, alone(t), c, envoyrls.Options{Metadata: true})
		ask := `{"domain": "d", "hitsAddend": 1, "descriptors": [
			{"entries": [{"key": "a", "value": "1"}]},
			{"entries": [{"key": "a", "value": "2"}, {"key": "x", "value": "y"}], "limit": {"requestsPerUnit": 9, "unit": "DAY"}, "hitsAddend": "0"},
			{"entries": [{"key": "a", "value": "2"}]}]}`
		metadata := func(passed string) string {
			return `{"domain": "d", "hitsAddend": 1, "descriptors": [{"entries": ["a=1"]}, {"entries": ["a=2", "x=y"], "limit": "requests_per_unit:9 unit:DAY", "hitsAddend": 0}, {"entries": ["a=2"]}], "metadata": ` + passed + `}`
		}
		for _, want := range []string{
			metadata(`{"service": {"name": "one", "n": [1, 2.5, true, null, "2001-01-01"], "more": "yes"}, "first": 1}`),
			metadata(`{"service": {"name": "two", "more": "yes"}, "first": 2}`),
		} {
			var r rls.RateLimitRequest
			ok(t, protojson.Unmarshal([]byte(ask), &r))
			response, err := s.ShouldRateLimit(t.Context(), &r)
			ok(t, err)
			w := proto.CloneOf(response.DynamicMetadata)
			ok(t, protojson.Unmarshal([]byte(want), w))
			if !proto.Equal(response.DynamicMetadata, w) {
				t.Errorf("got %s\nwant %s", protojson.Format(response.DynamicMetadata), want)
			}
		}
		plain := service(t, alone(t), config(t, simple), envoyrls.Options{Metadata: true})
		response, err := plain.ShouldRateLimit(t.Context(), request("d", "a=1"))
		ok(t, err)
		if m := response.DynamicMetadata.Fields; len(m) != 2 {
			t.Errorf("of a request that has little: %v", m)
		}
	})
}
