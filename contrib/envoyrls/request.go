package envoyrls

import (
	"slices"
	"strings"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
)

// Bounds on one request.
const (
	maxDescriptors = 256           // each is asked of the cluster at the same time
	maxEntries     = 32            // of a descriptor
	maxHits        = 1_000_000_000 // what Envoy's own configuration allows
)

// hit is one descriptor of a request, and what becomes of it.
type hit struct {
	Match
	tokens   int64 // 0: only look
	decision bucket.Decision
}

// over reports whether the descriptor is over its limit.
func (h *hit) over() bool { return h.Rule != nil && !h.decision.Allowed }

// read finds what each descriptor of a request is charged.
func (s *Service) read(request *rls.RateLimitRequest) ([]hit, error) {
	switch n := len(request.GetDescriptors()); {
	case request.GetDomain() == "":
		return nil, invalid("domain: it is empty; give that of the filter's configuration")
	case n == 0:
		return nil, invalid("descriptors: there are none; give at least one")
	case n > maxDescriptors:
		return nil, invalid("descriptors: there are %d; at most %d", n, maxDescriptors)
	}
	source := *s.source.Load()
	hits := make([]hit, len(request.Descriptors))
	for i, d := range request.Descriptors {
		tokens, err := cost(request, d)
		if err == nil {
			err = check(d)
		}
		if err == nil {
			hits[i].tokens = tokens
			hits[i].Match, err = s.match(source, request.Domain, d)
		}
		if err != nil {
			return nil, status.Errorf(status.Code(err), "envoyrls: descriptors[%d]: %s", i, status.Convert(err).Message())
		}
	}
	replace(hits)
	return hits, nil
}

func check(d *common.RateLimitDescriptor) error {
	if n := len(d.GetEntries()); n == 0 || n > maxEntries {
		return status.Errorf(codes.InvalidArgument, "entries: there are %d; give 1 to %d", n, maxEntries)
	}
	if slices.ContainsFunc(d.Entries, func(e *common.RateLimitDescriptor_Entry) bool { return e.GetKey() == "" }) {
		return status.Error(codes.InvalidArgument, "entries: a key is empty")
	}
	return nil
}

// cost is how many tokens a descriptor takes.
func cost(request *rls.RateLimitRequest, d *common.RateLimitDescriptor) (int64, error) {
	if d.GetIsNegativeHits() {
		return 0, status.Error(codes.Unimplemented, "is_negative_hits: only what a known request took can be given back; leave it out")
	}
	own := d.GetHitsAddend()
	switch {
	case own == nil:
		return max(1, int64(request.HitsAddend)), nil
	case own.Value > maxHits:
		return 0, status.Errorf(codes.InvalidArgument, "hits_addend: %d is over %d", own.Value, maxHits)
	}
	return int64(own.Value), nil
}

// match chooses the rule of a descriptor: its own before that of the source.
func (s *Service) match(source Source, domain string, d *common.RateLimitDescriptor) (Match, error) {
	m, known := source.Find(domain, d.Entries)
	if d.Limit == nil || !known {
		return m, nil
	}
	u, ok := unitOf(d.Limit.Unit.String())
	if !ok {
		return Match{}, status.Errorf(codes.InvalidArgument, "limit: unit %s is none; give SECOND to YEAR", d.Limit.Unit)
	}
	name, values := escape(domain), make([]string, len(d.Entries))
	for i, e := range d.Entries {
		name += "/" + escape(e.GetKey())
		values[i] = e.GetValue()
	}
	// A unit for a name's end: limits of different units count side by side.
	rule, err := bucket.NewRule(bounded(name+"#"+strings.ToLower(u.name)), []bucket.Limit{window(int64(d.Limit.RequestsPerUnit), u.per)}, s.options.Override...)
	if err != nil { // New has tried the options
		return Match{}, status.Error(codes.Internal, err.Error())
	}
	return Match{Rule: rule, Key: joinKey(values)}, nil
}

// replace takes out the matches that others stand in for.
func replace(hits []hit) {
	var replaced []string
	for i := range hits {
		replaced = append(replaced, hits[i].Replaces...)
	}
	for i := range hits {
		if h := &hits[i]; h.Name != "" && h.Rule != nil && slices.Contains(replaced, h.Name) {
			h.Match = Match{}
		}
	}
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, "envoyrls: "+format, args...)
}
