package envoyrls

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/shoal-dev/shoal/bucket"
)

func (s *Service) answer(request *rls.RateLimitRequest, hits []hit, over bool) *rls.RateLimitResponse {
	response := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
	if over {
		response.OverallCode = rls.RateLimitResponse_OVER_LIMIT
	}
	for i := range hits {
		response.Statuses = append(response.Statuses, hits[i].status())
	}
	if s.options.Headers != nil {
		response.ResponseHeadersToAdd = s.headers(hits, over)
	}
	if s.options.Metadata {
		response.DynamicMetadata = metadata(request, hits)
	}
	return response
}

// status is the answer to one descriptor.
func (h *hit) status() *rls.RateLimitResponse_DescriptorStatus {
	s := &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK}
	switch {
	case h.Unlimited:
		s.LimitRemaining = math.MaxUint32
		return s
	case h.Rule == nil:
		return s
	case h.over():
		s.Code = rls.RateLimitResponse_OVER_LIMIT
	}
	d := &h.decision
	s.CurrentLimit = &rls.RateLimitResponse_RateLimit{
		Name:            cmp.Or(h.Name, d.Limit.Name),
		RequestsPerUnit: uint32(min(d.Limit.Count, math.MaxUint32)),
		Unit:            codeOf(d.Limit.Per),
	}
	s.LimitRemaining = uint32(max(0, min(d.Remaining, math.MaxUint32)))
	s.DurationUntilReset = durationpb.New(time.Duration(untilReset(d)) * time.Second)
	return s
}

// untilReset is when the refused request can pass, or else when the limit is whole
// again, in seconds: Envoy would cut off a part of one.
func untilReset(d *bucket.Decision) int64 {
	t := d.ResetAfter
	if d.RetryAfter != 0 && d.RetryAfter != bucket.Never {
		t = d.RetryAfter
	}
	s := int64(t / time.Second)
	if t%time.Second > 0 {
		s++
	}
	return s
}

// headers sets the fields for the descriptor that refuses the longest or, of a
// request that passes, has the least left.
func (s *Service) headers(hits []hit, over bool) []*core.HeaderValue {
	var nearest *hit
	for i := range hits {
		h := &hits[i]
		if h.Rule == nil || h.over() != over {
			continue
		}
		if nearest == nil || over && h.decision.RetryAfter > nearest.decision.RetryAfter || !over && h.decision.Remaining < nearest.decision.Remaining {
			nearest = h
		}
	}
	if nearest == nil {
		return nil
	}
	fields := http.Header{}
	s.options.Headers(fields, nearest.Rule, nearest.decision)
	var values []*core.HeaderValue
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			values = append(values, &core.HeaderValue{Key: strings.ToLower(name), Value: value})
		}
	}
	return values
}

// RateLimitHeaders sets RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset, in
// seconds, as envoyproxy/ratelimit does where its custom headers are enabled
// (draft-ietf-httpapi-ratelimit-headers-03). It is for Options.Headers.
func RateLimitHeaders(h http.Header, _ *bucket.Rule, d bucket.Decision) {
	h.Set("RateLimit-Limit", strconv.FormatInt(d.Limit.Count, 10))
	h.Set("RateLimit-Remaining", strconv.FormatInt(max(0, d.Remaining), 10))
	h.Set("RateLimit-Reset", strconv.FormatInt(untilReset(&d), 10))
}
