package grpcmw_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

// A client that reads RetryInfo and waits exactly that long passes, and one that waits
// a nanosecond less doesn't.
func TestClientWaitsAsLongAsRetryInfoSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, newLimit(t, newNode(t), bucket.MustRule("api", "2/minute"), grpcmw.PeerIP()), service{})
		const policy = `"2 per 1 minute";q=2;w=60`
		for _, limit := range []string{`"2 per 1 minute";r=1;t=30`, `"2 per 1 minute";r=0;t=30`} {
			a := call(t.Context(), c)
			checkCode(t, a.err, codes.OK)
			checkFields(t, a.header, limit, policy)
			checkFields(t, a.trailer)
		}
		a := call(t.Context(), c)
		checkFields(t, a.header)
		checkFields(t, a.trailer, `"2 per 1 minute";r=0;t=30`, policy, "30", "30000")
		after := checkRefusal(t, a.err, "api", "2 per 1 minute")
		if after <= 29*time.Second || after > 30*time.Second {
			t.Fatalf("RetryInfo says %v", after)
		}
		time.Sleep(after - 1)
		if again := checkRefusal(t, call(t.Context(), c).err, "api", "2 per 1 minute"); again != 1 {
			t.Errorf("a nanosecond before, RetryInfo says %v", again)
		}
		time.Sleep(time.Nanosecond)
		checkCode(t, call(t.Context(), c).err, codes.OK)
	})
}

const retries = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":2,"initialBackoff":"1s","maxBackoff":"1s",` +
	`"backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE","RESOURCE_EXHAUSTED"]}}]}`

// gRPC's own retries wait as long as they are told.
func TestConfiguredRetriesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, newLimit(t, newNode(t), bucket.MustRule("api", "1/minute"), grpcmw.PeerIP()), service{}, grpc.WithDefaultServiceConfig(retries))
		checkCode(t, call(t.Context(), c).err, codes.OK)

		began := time.Now()
		checkCode(t, call(t.Context(), c).err, codes.OK)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("the second call passed after %v", waited)
		}

		// It would have to wait longer than it can.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began = time.Now()
		a := call(ctx, c)
		checkRefusal(t, a.err, "api", "1 per 1 minute")
		checkFields(t, a.trailer, `"1 per 1 minute";r=0;t=60`, `"1 per 1 minute";q=1;w=60`, "60", "-1")
		if waited := time.Since(began); waited != 0 {
			t.Errorf("refused after %v", waited)
		}
	})
}

// A header would end a client's retries of what the handler answers.
func TestHandlersErrorsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := service{unary: func(context.Context) error {
			if calls++; calls == 1 {
				return newStatus(codes.Unavailable)
			}
			return nil
		}}
		c := serve(t, newLimit(t, newNode(t), bucket.MustRule("api", "10/minute"), grpcmw.PeerIP()), s, grpc.WithDefaultServiceConfig(retries))
		if a := call(t.Context(), c); a.err != nil || calls != 2 {
			t.Errorf("%d calls, and %v", calls, a.err)
		}
	})
}

// Where the header can't be had the fields are in the trailer.
func TestFieldsOfFailedCalls(t *testing.T) {
	limit, policy := `"10 per 1 minute";r=9;t=6`, `"10 per 1 minute";q=10;w=60`
	for name, unary := range map[string]func(context.Context) error{
		"an error":            func(context.Context) error { return newStatus(codes.NotFound) },
		"a header of its own": func(ctx context.Context) error { return grpc.SendHeader(ctx, metadata.Pairs("own", "1")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, newLimit(t, &fake{d: allowed}, bucket.MustRule("api", "10/minute"), everybody), service{unary: unary})
			a := call(t.Context(), c)
			checkFields(t, a.header)
			checkFields(t, a.trailer, limit, policy)
		})
	}
}

func TestRefusals(t *testing.T) {
	minute, never := bucket.Limit{Count: 10, Per: time.Minute}, bucket.Limit{Count: 0, Per: time.Minute}
	for name, x := range map[string]struct {
		rule     string
		d        bucket.Decision
		err      error
		code     codes.Code
		retry    time.Duration // -1 for none
		quota    string
		after    string
		pushback string
	}{
		"for a nanosecond": {"10/minute", bucket.Decision{Limit: minute, RetryAfter: 1}, nil, codes.ResourceExhausted, 1, "10 per 1 minute", "1", "1"},
		"for a while":      {"10/minute", bucket.Decision{Limit: minute, RetryAfter: 1500*time.Millisecond + 1}, nil, codes.ResourceExhausted, 1500*time.Millisecond + 1, "10 per 1 minute", "2", "1501"},
		"for 25 days":      {"10/minute", bucket.Decision{Limit: minute, RetryAfter: 25 * 24 * time.Hour}, nil, codes.ResourceExhausted, 25 * 24 * time.Hour, "10 per 1 minute", "2160000", "-1"},
		"for ever":         {"0/minute", bucket.Decision{Limit: never, RetryAfter: bucket.Never}, nil, codes.ResourceExhausted, -1, "0 per 1 minute", "", "-1"},
		"for who knows":    {"10/minute", bucket.Decision{Limit: minute}, nil, codes.ResourceExhausted, -1, "10 per 1 minute", "", ""},
		"by a share":       {"10/minute", bucket.Decision{Limit: minute, RetryAfter: time.Second, Degraded: true}, nil, codes.ResourceExhausted, time.Second, "10 per 1 minute", "1", "1000"},
		"by Deny":          {"10/minute; policy deny", bucket.Decision{Limit: minute, RetryAfter: time.Second, Degraded: true}, nil, codes.Unavailable, time.Second, "", "1", "1000"},
		"by Deny, for who knows": {
			"10/minute; policy deny", bucket.Decision{Limit: minute, Degraded: true}, nil, codes.Unavailable, -1, "", "", "",
		},
		"undecided": {"10/minute", bucket.Decision{}, errors.New("closed"), codes.Unavailable, -1, "", "", ""},
		"timed out": {"10/minute", bucket.Decision{}, context.DeadlineExceeded, codes.DeadlineExceeded, -1, "", "", ""},
		"cancelled": {"10/minute", bucket.Decision{}, context.Canceled, codes.Canceled, -1, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := service{unary: func(context.Context) error { t.Error("the handler was called"); return nil }}
			c := serve(t, newLimit(t, &fake{d: x.d, err: x.err}, bucket.MustRule("api", x.rule), everybody), s)
			a := call(t.Context(), c)
			checkCode(t, a.err, x.code)
			retry, quota := details(t, a.err)
			if (retry == nil) != (x.retry < 0) || retry != nil && retry.RetryDelay.AsDuration() != x.retry {
				t.Errorf("got %v, want %v", retry, x.retry)
			}
			if (quota == nil) != (x.quota == "") || quota != nil && (quota.Violations[0].Subject != "api" || quota.Violations[0].Description != x.quota) {
				t.Errorf("got %v, want %q", quota, x.quota)
			}
			for name, want := range map[string]string{"retry-after": x.after, "grpc-retry-pushback-ms": x.pushback} {
				if got := first(a.trailer, name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if (len(a.trailer["ratelimit"]) == 1) != (x.err == nil) {
				t.Errorf("got %v", a.trailer)
			}
		})
	}
}

func TestClosedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newNode(t)
		c := serve(t, newLimit(t, node, bucket.MustRule("api", "10/minute"), everybody), service{})
		if err := node.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkCode(t, call(t.Context(), c).err, codes.Unavailable)
	})
}

// The mode changes what becomes of calls from one to the next.
func TestModes(t *testing.T) {
	rule := bucket.MustRule("api", "0/minute")
	c := serve(t, newLimit(t, newLocal(), rule, everybody), service{})
	for _, x := range []struct {
		mode   bucket.Mode
		code   codes.Code
		limit  string
		policy string
	}{
		{bucket.Enforce, codes.ResourceExhausted, `"0 per 1 minute";r=0`, `"0 per 1 minute";q=0;w=60`},
		{bucket.Off, codes.OK, "", ""},
		{bucket.Shadow, codes.OK, `"0 per 1 minute";r=0`, `"0 per 1 minute";q=0;w=60`},
	} {
		if err := rule.SetMode(x.mode); err != nil {
			t.Fatal(err)
		}
		a := call(t.Context(), c)
		checkCode(t, a.err, x.code)
		if md := metadata.Join(a.header, a.trailer); first(md, "ratelimit") != x.limit || first(md, "ratelimit-policy") != x.policy {
			t.Errorf("%v: got %v", x.mode, md)
		}
	}
}

// A penalty that refuses is named, as what it is.
func TestPenalty(t *testing.T) {
	rule := bucket.MustRule("api", "1/second; penalty banned = 2/hour fixed")
	c := serve(t, newLimit(t, newLocal(), rule, everybody), service{})
	checkCode(t, call(t.Context(), c).err, codes.OK)
	for _, x := range []struct {
		limit, text string
		after       time.Duration
	}{
		{"1 per 1 second", "rate limit exceeded: 1 per 1 second", time.Second},
		{"banned", "abnormal usage: banned", time.Hour},
	} {
		a := call(t.Context(), c)
		if after, text := checkRefusal(t, a.err, "api", x.limit), status.Convert(a.err).Message(); after != x.after || text != x.text {
			t.Errorf("%s: RetryInfo says %v, and the status %q", x.limit, after, text)
		}
		if policy := first(a.trailer, "ratelimit-policy"); policy != `"1 per 1 second";q=1;w=1` {
			t.Errorf("got %s", policy)
		}
	}
}

// A queue shapes: what is allowed goes on when its turn has come.
func TestAllowedCallsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := 0
		s := service{unary: func(context.Context) error { served++; return nil }}
		c := serve(t, newLimit(t, newNode(t), bucket.MustRule("api", "1/second leaky burst 10"), everybody), s)
		for _, turn := range []time.Duration{0, time.Second} {
			began := time.Now()
			checkCode(t, call(t.Context(), c).err, codes.OK)
			if waited := time.Since(began); waited != turn {
				t.Errorf("waited %v, want %v", waited, turn)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		checkCode(t, call(gone, c).err, codes.Canceled)
		impatient, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		checkCode(t, call(impatient, c).err, codes.DeadlineExceeded)
		synctest.Wait()
		if served != 2 || time.Since(began) != 0 {
			t.Errorf("served %d, and told after %v", served, time.Since(began))
		}
	})
}
