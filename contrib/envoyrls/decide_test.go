package envoyrls_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
)

// step is a request and its answer, in words.
type step struct {
	after             time.Duration
	descriptors, want string
}

const (
	over  = "OVER_LIMIT: OVER_LIMIT 0"
	noCap = "OK: OK"
)

// TestRequests takes the examples of envoyproxy/ratelimit's documentation and of
// Envoy's, and what is left to say by itself, in windows that begin on the minute.
func TestRequests(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		steps  []step
	}{
		"values": {`{domain: d, descriptors: [
			{key: database, value: users, rate_limit: {unit: second, requests_per_unit: 2}},
			{key: database, value: default, rate_limit: {unit: second, requests_per_unit: 1}}]}`, []step{
			{0, "database=users", "OK: OK 1"}, {0, "database=users", "OK: OK 0"}, {0, "database=users", over},
			{0, "database=default", "OK: OK 0"}, {0, "database=default", over},
			{0, "database=orders", noCap}, {0, "table=users", noCap}, {0, "database=users x=y", noCap},
			{time.Second, "database=users", "OK: OK 1"},
		}},
		"levels": {`{domain: d, descriptors: [
			{key: message_type, value: marketing, descriptors: [{key: to_number, rate_limit: {unit: DAY, requests_per_unit: 2}}]},
			{key: to_number, rate_limit: {unit: day, requests_per_unit: 3}}]}`, []step{
			{0, "message_type=marketing to_number=1, to_number=1", "OK: OK 1, OK 2"},
			{0, "message_type=marketing to_number=1, to_number=1", "OK: OK 0, OK 1"},
			{0, "message_type=marketing to_number=1, to_number=1", "OVER_LIMIT: OVER_LIMIT 0, OK 0"},
			{0, "to_number=1", "OK: OK 0"}, // the refused one's came back
			{0, "message_type=marketing to_number=2, to_number=1", "OVER_LIMIT: OK 1, OVER_LIMIT 0"},
			{0, "message_type=marketing to_number=2", "OK: OK 1"},
			{0, "message_type=marketing", noCap}, {0, "message_type=news to_number=1", noCap},
		}},
		"the value before the key alone, and no way back": {`{domain: d, descriptors: [
			{key: a, rate_limit: {unit: minute, requests_per_unit: 5}, descriptors: [{key: b, rate_limit: {unit: minute, requests_per_unit: 9}}]},
			{key: a, value: banned, rate_limit: {unit: minute, requests_per_unit: 0}}]}`, []step{
			{0, "a=1", "OK: OK 4"}, {0, "a=2", "OK: OK 4"}, {0, "a=", "OK: OK 4"}, {0, "a=banned", over},
			{0, "a=1 b=1", "OK: OK 8"}, {0, "a=2 b=1", "OK: OK 8"}, {0, "a=1 b=1", "OK: OK 7"}, {0, "a=banned b=1", noCap},
		}},
		"unlimited": {`{domain: d, descriptors: [{key: ldap, rate_limit: {unlimited: true}}]}`, []step{
			{0, "ldap=1, x=y", "OK: OK 4294967295, OK"},
		}},
		"shadow": {`{domain: d, descriptors: [{key: a, shadow_mode: yes, rate_limit: {unit: hour, requests_per_unit: 1}}]}`, []step{
			{0, "a=1", "OK: OK 0"}, {0, "a=1", "OK: OK 0"},
		}},
		"replaces": {`{domain: d, descriptors: [
			{key: k1, value: v1, descriptors: [{key: user, value: x, rate_limit: {name: specific, unit: minute, requests_per_unit: 5}}]},
			{key: k2, value: v2, descriptors: [{key: user, value: x, rate_limit: {replaces: [{name: specific}], unit: minute, requests_per_unit: 10}}]}]}`, []step{
			{0, "k1=v1 user=x", "OK: OK 4"}, {0, "k2=v2 user=x", "OK: OK 9"},
			{0, "k1=v1 user=x, k2=v2 user=x", "OK: OK, OK 8"}, {0, "k1=v1 user=x", "OK: OK 3"},
		}},
		"wildcards": {`{domain: d, descriptors: [
			{key: p, value: /api/*/act, rate_limit: {unit: minute, requests_per_unit: 3}},
			{key: p, value: "/api/*/r/*/act", rate_limit: {unit: minute, requests_per_unit: 4}},
			{key: p, value: /api/1/act, rate_limit: {unit: minute, requests_per_unit: 5}},
			{key: p, value: f/*, share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 6}},
			{key: p, value: "*x*y", rate_limit: {unit: minute, requests_per_unit: 7}},
			{key: p, rate_limit: {unit: minute, requests_per_unit: 9}}]}`, []step{
			{0, "p=/api/1/act", "OK: OK 4"}, {0, "p=/api/2/act", "OK: OK 2"}, {0, "p=/api/3/act", "OK: OK 2"}, {0, "p=/api//act", "OK: OK 2"},
			{0, "p=/api/act", "OK: OK 8"}, {0, "p=/api/2/acts", "OK: OK 8"}, {0, "p=/api/v/r/1/act", "OK: OK 2"},
			{0, "p=f/a", "OK: OK 5"}, {0, "p=f/b", "OK: OK 4"}, {0, "p=f/*", "OK: OK 3"}, {0, "p=axby", "OK: OK 6"}, {0, "p=ayb", "OK: OK 8"},
			{0, "q=/api/2/act", noCap},
		}},
		"quotas": {`{domain: d, descriptors: [
			{key: service, value: one, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}},
			{key: service, value: two, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 2}},
			{key: all, rate_limit: {unit: minute, requests_per_unit: 3}}]}`, []step{
			{0, "service=one, service=two, all=1", "OK: OK 0, OK 1, OK 2"},
			{0, "service=one, service=two, all=1", "OK: OVER_LIMIT 0, OK 0, OK 1"},
			{0, "service=one, service=two, all=1", "OVER_LIMIT: OVER_LIMIT 0, OVER_LIMIT 0, OK 0"},
			{0, "all=1", "OK: OK 0"},
			{0, "service=one, all=1", "OVER_LIMIT: OVER_LIMIT 0, OVER_LIMIT 0"},
		}},
		"units": {`{domain: d, descriptors: [
			{key: week, rate_limit: {unit: week, requests_per_unit: 1}}, {key: month, rate_limit: {unit: Month, requests_per_unit: 1}},
			{key: year, rate_limit: {unit: year, requests_per_unit: 4294967295}}]}`, []step{
			{0, "week=1, month=1, year=1", "OK: OK 0, OK 0, OK 4294967294"},
			{0, "week=1", over},
		}},
		"keys that look alike": {`{domain: d, descriptors: [
			{key: a_b, rate_limit: {unit: minute, requests_per_unit: 1}},
			{key: a, descriptors: [{key: b, rate_limit: {unit: minute, requests_per_unit: 2}}]}]}`, []step{
			{0, "a=b", noCap}, {0, "a=x/y b=z", "OK: OK 1"}, {0, "a=x b=y/z", "OK: OK 1"}, {0, "a=x%2Fy b=z", "OK: OK 1"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := service(t, alone(t), config(t, c.config), envoyrls.Options{})
				for _, step := range c.steps {
					time.Sleep(step.after)
					expect(t, s, request("d", step.descriptors), step.want)
				}
				expect(t, s, request("another", strings.Split(c.steps[0].descriptors, ",")[0]), noCap)
			})
		})
	}
}

func TestHits(t *testing.T) {
	const text = `{domain: d, descriptors: [{key: a, rate_limit: {unit: minute, requests_per_unit: 10}}, {key: b, rate_limit: {unit: minute, requests_per_unit: 0}}]}`
	synctest.Test(t, func(t *testing.T) {
		node := alone(t)
		for _, refusedToo := range []bool{false, true} {
			time.Sleep(time.Minute)
			s := service(t, node, config(t, text), envoyrls.Options{ChargeRefused: refusedToo})
			r := request("d", "a=1, a=1")
			r.HitsAddend = 3
			expect(t, s, r, "OK: OK 7, OK 4")
			r.Descriptors[1].HitsAddend = wrapperspb.UInt64(0) // only looks
			expect(t, s, r, "OK: OK 1, OK 1")
			r = request("d", "a=1")
			r.HitsAddend = 2
			if !refusedToo {
				expect(t, s, r, "OVER_LIMIT: OVER_LIMIT 1")
				expect(t, s, request("d", "a=1"), "OK: OK 0")
			} else {
				expect(t, s, r, over) // and takes the one that is left
			}
			r.Descriptors[0].HitsAddend = wrapperspb.UInt64(0)
			expect(t, s, r, over)
			expect(t, s, request("d", "b=1, a=2"), "OVER_LIMIT: OVER_LIMIT 0, OK 9")
			want := "OK: OK 9"
			if refusedToo {
				want = "OK: OK 8"
			}
			expect(t, s, request("d", "a=2"), want)
		}
	})
}

func TestOverrides(t *testing.T) {
	const text = `{domain: d, descriptors: [{key: a, rate_limit: {unit: minute, requests_per_unit: 10}}]}`
	synctest.Test(t, func(t *testing.T) {
		s := service(t, alone(t), config(t, text), envoyrls.Options{})
		ask := func(descriptors string, count uint32, unit envoytype.RateLimitUnit, want string) {
			t.Helper()
			r := request("d", descriptors)
			r.Descriptors[0].Limit = &common.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: count, Unit: unit}
			expect(t, s, r, want)
		}
		ask("a=1", 2, envoytype.RateLimitUnit_MINUTE, "OK: OK 1")
		ask("a=2", 2, envoytype.RateLimitUnit_MINUTE, "OK: OK 1")
		ask("a=1", 3, envoytype.RateLimitUnit_MINUTE, "OK: OK 1")
		ask("a=1", 1, envoytype.RateLimitUnit_MINUTE, over)
		ask("a=1", 1, envoytype.RateLimitUnit_HOUR, "OK: OK 0")
		ask("x=1 y=2", 1, envoytype.RateLimitUnit_YEAR, "OK: OK 0")
		ask("x=1 y=2", 1, envoytype.RateLimitUnit_YEAR, over)
		expect(t, s, request("d", "a=1"), "OK: OK 9")
		ask("a=1", 1, envoytype.RateLimitUnit_UNKNOWN, "rpc error: code = InvalidArgument desc = envoyrls: descriptors[0]: limit: unit UNKNOWN is none; give SECOND to YEAR")
		elsewhere := request("elsewhere", "a=1")
		elsewhere.Descriptors[0].Limit = &common.RateLimitDescriptor_RateLimitOverride{Unit: envoytype.RateLimitUnit_HOUR}
		expect(t, s, elsewhere, noCap)

		trial := service(t, alone(t), config(t, text), envoyrls.Options{Override: []bucket.RuleOption{bucket.WithMode(bucket.Shadow)}})
		elsewhere.Domain = "d"
		expect(t, trial, elsewhere, "OK: OK 0")
	})
}

// TestTheRulesFile has its own way back, the names' escapes and all that a rule says.
func TestTheRulesFile(t *testing.T) {
	source := ruleSource(t, `rules:
  login: 1/day
  edge/tenant/path: daily = 3/day fixed aligned
  edge/tenant=acme/path=%2Flogin: 1 per 90s
  edge/tenant=acme/method: 7/second
  edge/a%2Fb=1%3D2: 4/hour; 6/day
  edge/odd%: 5/hour
  my%2Fdomain/a: 2/minute; mode shadow
  edge/slots: 2 concurrent
`)
	synctest.Test(t, func(t *testing.T) {
		s := service(t, alone(t), source, envoyrls.Options{})
		for _, c := range []struct{ domain, descriptors, want string }{
			{"edge", "tenant=acme path=/login", "OK: OK 0"},
			{"edge", "tenant=acme path=/login", over},
			{"edge", "tenant=acme path=/", "OK: OK 2"}, // tenant=acme has no path alone, tenant has
			{"edge", "tenant=acme method=GET", "OK: OK 6"},
			{"edge", "tenant=evil method=GET", noCap},
			{"edge", "tenant=evil path=/login", "OK: OK 2"},
			{"edge", "a/b=1=2", "OK: OK 3"},
			{"edge", "odd%=1", "OK: OK 4"},
			{"edge", "tenant=acme", noCap},
			{"my/domain", "a=1", "OK: OK 1"},
			{"my", "domain=x a=1", noCap},
			{"login", "a=1", noCap},
			{"edge", "slots=1", "rpc error: code = FailedPrecondition desc = envoyrls: cluster: the rule limits concurrency; use Acquire"},
		} {
			r := request(c.domain, c.descriptors)
			if c.descriptors == "a/b=1=2" {
				r.Descriptors[0].Entries[0].Value = "1=2"
			}
			expect(t, s, r, c.want)
		}
	})
}

// TestARuleIsShared: whoever asks for the rule itself, by the value, meets the limit.
func TestARuleIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := alone(t)
		c := config(t, "{domain: edge, descriptors: [{key: user, rate_limit: {unit: minute, requests_per_unit: 2}}]}")
		s := service(t, node, c, envoyrls.Options{})
		expect(t, s, request("edge", "user=alice"), "OK: OK 1")
		for rule := range c.All() {
			if d, err := node.Take(t.Context(), rule, "alice", 1); err != nil || d.Remaining != 0 {
				t.Errorf("%+v, %v", d, err)
			}
		}
		// The same limit out of a rules file, and another configuration, keep the count.
		s.Use(ruleSource(t, "rules: {edge/user: 2/minute fixed aligned}"))
		expect(t, s, request("edge", "user=alice"), over)
		s.Use(config(t, "{domain: edge, descriptors: [{key: user, rate_limit: {unit: minute, requests_per_unit: 5}}]}"))
		expect(t, s, request("edge", "user=alice"), "OK: OK 2")
	})
}
