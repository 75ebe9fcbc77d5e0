package envoyrls

import (
	"fmt"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// metadata is what later filters of Envoy may want to know of a request, in the form
// that envoyproxy/ratelimit has for it.
func metadata(request *rls.RateLimitRequest, hits []hit) *structpb.Struct {
	descriptors := &structpb.ListValue{}
	for _, d := range request.Descriptors {
		descriptors.Values = append(descriptors.Values, structpb.NewStructValue(describe(d)))
	}
	fields := map[string]*structpb.Value{
		"domain":      structpb.NewStringValue(request.Domain),
		"descriptors": structpb.NewListValue(descriptors),
	}
	if request.HitsAddend != 0 {
		fields["hitsAddend"] = structpb.NewNumberValue(float64(request.HitsAddend))
	}
	passed := &structpb.Struct{}
	for i := range hits {
		if h := &hits[i]; !h.over() {
			merge(passed, h.Metadata)
		}
	}
	if len(passed.Fields) > 0 {
		fields["metadata"] = structpb.NewStructValue(passed)
	}
	return &structpb.Struct{Fields: fields}
}

func describe(d *common.RateLimitDescriptor) *structpb.Struct {
	entries := &structpb.ListValue{}
	for _, e := range d.Entries {
		entries.Values = append(entries.Values, structpb.NewStringValue(e.GetKey()+"="+e.GetValue()))
	}
	fields := map[string]*structpb.Value{"entries": structpb.NewListValue(entries)}
	if l := d.Limit; l != nil {
		fields["limit"] = structpb.NewStringValue(fmt.Sprintf("requests_per_unit:%d unit:%s", l.RequestsPerUnit, l.Unit))
	}
	if d.HitsAddend != nil {
		fields["hitsAddend"] = structpb.NewNumberValue(float64(d.HitsAddend.Value))
	}
	return &structpb.Struct{Fields: fields}
}

// merge adds what into hasn't got; structs within are merged as well.
func merge(into, from *structpb.Struct) {
	for name, value := range from.GetFields() {
		old, there := into.Fields[name]
		switch {
		case !there:
			if into.Fields == nil {
				into.Fields = map[string]*structpb.Value{}
			}
			into.Fields[name] = proto.CloneOf(value) // others may be merged into it
		case old.GetStructValue() != nil:
			merge(old.GetStructValue(), value.GetStructValue())
		}
	}
}
