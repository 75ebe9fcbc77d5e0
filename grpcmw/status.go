package grpcmw

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/shoal-dev/shoal/bucket"
)

// Error returns the status with which the interceptors refuse a call that was decided
// so: RESOURCE_EXHAUSTED, or UNAVAILABLE where the failure policy Deny refused; nil if
// it was allowed. It is for handlers that decide by themselves; see [Fields] as well.
func Error(rule *bucket.Rule, d bucket.Decision) error {
	if d.Allowed {
		return nil
	}
	f := newFields(rule)
	return f.refusal(d)
}

func (f *fields) refusal(d bucket.Decision) error {
	var details []protoadapt.MessageV1
	if after, known := untilMore(d); known {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	code, text := codes.Unavailable, undecidedText
	if !d.Degraded || f.rule.FailurePolicy() != bucket.Deny {
		code, text = codes.ResourceExhausted, "rate limit exceeded: "
		if f.penalizes(d.Limit) {
			text = "abnormal usage: "
		}
		text += d.Limit.String()
		details = append(details, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
			{Subject: f.rule.Name(), Description: d.Limit.String()},
		}})
	}
	s := status.New(code, text)
	if detailed, err := s.WithDetails(details...); err == nil { // messages of valid text always marshal
		s = detailed
	}
	return s.Err()
}
