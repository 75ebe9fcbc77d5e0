package envoyrls_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
)

// stand is a limiter in place of a node. It keeps what it was asked.
type stand struct {
	store *bucket.Store
	take  func(key string, tokens int64) (bucket.Decision, error) // nil: the store's

	mu      sync.Mutex
	refunds int
	takes   []int64
}

func (s *stand) Take(_ context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	s.mu.Lock()
	s.takes = append(s.takes, tokens)
	s.mu.Unlock()
	if s.take != nil {
		if d, err := s.take(key, tokens); d != (bucket.Decision{}) || err != nil {
			return d, err
		}
	}
	return s.store.Take(rule, key, tokens, 0), nil
}

func (s *stand) Peek(_ context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	return s.store.Peek(rule, key, tokens, 0), nil
}

func (s *stand) Refund(ctx context.Context, rule *bucket.Rule, key string, r bucket.Receipt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refunds++
	s.store.Refund(rule, key, r, 0)
	return cluster.ErrNoHolder // as far as the caller knows
}

const simple = `{domain: d, descriptors: [{key: a, rate_limit: {unit: minute, requests_per_unit: 3}}]}`

func newStand() *stand { return &stand{store: bucket.NewStore(bucket.StoreConfig{})} }

func TestErrorsGiveBackAndHaveTheirCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code codes.Code
	}{
		{cluster.ErrClosed, codes.Unavailable},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{cluster.ErrConcurrent, codes.FailedPrecondition},
		{errors.New("odd"), codes.Internal},
	} {
		l := newStand()
		ctx, cancel := context.WithCancel(t.Context())
		l.take = func(key string, _ int64) (bucket.Decision, error) {
			if key == "bad" {
				cancel() // as Envoy does when its client has gone
				return bucket.Decision{}, c.err
			}
			return bucket.Decision{}, nil
		}
		s := service(t, l, config(t, simple), envoyrls.Options{})
		_, err := s.ShouldRateLimit(ctx, request("d", "a=1, a=bad"))
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.err.Error()) {
			t.Errorf("%v: %v", c.err, err)
		}
		if l.refunds != 1 {
			t.Errorf("%v: %d refunds", c.err, l.refunds)
		}
		expect(t, s, request("d", "a=1"), "OK: OK 2")
	}
}

func TestARefundThatFailsChangesNoAnswer(t *testing.T) {
	l := newStand()
	s := service(t, l, config(t, simple), envoyrls.Options{})
	for range 3 {
		_, err := s.ShouldRateLimit(t.Context(), request("d", "a=1"))
		ok(t, err)
	}
	expect(t, s, request("d", "a=1, a=2"), "OVER_LIMIT: OVER_LIMIT 0, OK 2")
	if l.refunds != 1 {
		t.Errorf("%d refunds", l.refunds)
	}
	expect(t, s, request("d", "a=2"), "OK: OK 2")
}

// TestTheRestIsTaken: what others take between the refusal and the taking of the rest
// is tried for again, a few times.
func TestTheRestIsTaken(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []bucket.Decision
		takes   []int64
		err     error
	}{
		{"at once", []bucket.Decision{{Remaining: 3}, {Allowed: true}}, []int64{5, 3}, nil},
		{"others took two", []bucket.Decision{{Remaining: 3}, {Remaining: 1}, {Allowed: true}}, []int64{5, 3, 1}, nil},
		{"nothing left", []bucket.Decision{{RetryAfter: 1}}, []int64{5}, nil},
		{"never ends", []bucket.Decision{{Remaining: 4}, {Remaining: 3}, {Remaining: 2}, {Remaining: 1}}, []int64{5, 4, 3, 2}, nil},
		{"nobody to ask", []bucket.Decision{{Degraded: true, Remaining: 2}}, []int64{5}, nil},
		{"in shadow", []bucket.Decision{{Allowed: true, WouldRefuse: true, Remaining: 2}, {Allowed: true}}, []int64{5, 2}, nil},
		{"closed meanwhile", []bucket.Decision{{Remaining: 2}}, []int64{5, 2}, cluster.ErrClosed},
	} {
		l, left := newStand(), c.answers
		l.take = func(string, int64) (d bucket.Decision, err error) {
			if len(left) == 0 {
				return d, c.err
			}
			d, left = left[0], left[1:]
			return d, nil
		}
		s := service(t, l, config(t, simple), envoyrls.Options{ChargeRefused: true})
		r := request("d", "a=1")
		r.HitsAddend = 5
		response, err := s.ShouldRateLimit(t.Context(), r)
		if err != nil || (response.OverallCode == rls.RateLimitResponse_OK) != c.answers[0].Allowed {
			t.Errorf("%s: %v, %v", c.name, response, err)
		}
		if len(l.takes) != len(c.takes) {
			t.Fatalf("%s: took %v, want %v", c.name, l.takes, c.takes)
		}
		for i := range c.takes {
			if l.takes[i] != c.takes[i] {
				t.Errorf("%s: took %v, want %v", c.name, l.takes, c.takes)
			}
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	s := service(t, newStand(), config(t, simple), envoyrls.Options{})
	many := request("d", strings.Repeat("a=1,", 256)+"a=1")
	deep := request("d", strings.Repeat("a=1 ", 33))
	negative, huge := request("d", "a=1, a=1"), request("d", "a=1")
	negative.Descriptors[1].IsNegativeHits = true
	huge.Descriptors[0].HitsAddend = wrapperspb.UInt64(math.MaxUint64)
	for _, c := range []struct {
		request *rls.RateLimitRequest
		code    codes.Code
		says    string
	}{
		{nil, codes.InvalidArgument, "domain: it is empty"},
		{request("", "a=1"), codes.InvalidArgument, "domain: it is empty"},
		{&rls.RateLimitRequest{Domain: "d"}, codes.InvalidArgument, "descriptors: there are none"},
		{many, codes.InvalidArgument, "descriptors: there are 257; at most 256"},
		{request("d", "a=1, "), codes.InvalidArgument, "descriptors[1]: entries: there are 0"},
		{&rls.RateLimitRequest{Domain: "d", Descriptors: []*common.RateLimitDescriptor{nil}}, codes.InvalidArgument, "descriptors[0]: entries: there are 0"},
		{deep, codes.InvalidArgument, "descriptors[0]: entries: there are 33"},
		{request("d", "a=1 =2"), codes.InvalidArgument, "descriptors[0]: entries: a key is empty"},
		{&rls.RateLimitRequest{Domain: "d", Descriptors: []*common.RateLimitDescriptor{{Entries: []*common.RateLimitDescriptor_Entry{nil}}}}, codes.InvalidArgument, "a key is empty"},
		{huge, codes.InvalidArgument, "hits_addend: 18446744073709551615 is over 1000000000"},
		{negative, codes.Unimplemented, "descriptors[1]: is_negative_hits: "},
	} {
		_, err := s.ShouldRateLimit(t.Context(), c.request)
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %s", c.request, err, c.says)
		}
	}
}

func TestNewReportsWhatIsWrong(t *testing.T) {
	_, err := envoyrls.New(nil, nil, envoyrls.Options{Override: []bucket.RuleOption{bucket.WithFailurePolicy(9)}})
	for _, says := range []string{"envoyrls: the limiter is nil", "the source is nil", "field Override: ", "failure policy 9"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}

// TestTheFailurePolicyAnswers in the place of a silent holder.
func TestTheFailurePolicyAnswers(t *testing.T) {
	for policy, want := range map[bucket.Decision]string{
		{Allowed: true, Degraded: true, Remaining: 3, Limit: bucket.Limit{Count: 3, Per: time.Minute}}: "OK: OK 3",
		{Degraded: true, RetryAfter: time.Second}:                                                      over,
	} {
		l := newStand()
		l.take = func(string, int64) (bucket.Decision, error) { return policy, nil }
		expect(t, service(t, l, config(t, simple), envoyrls.Options{}), request("d", "a=1"), want)
	}
}
