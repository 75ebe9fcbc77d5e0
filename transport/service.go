package transport

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	serviceName = "shoal.v1.Hits"
	methodAsk   = "/" + serviceName + "/Ask"
)

func askDesc(handler grpc.StreamHandler) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: "Ask", Handler: handler, ServerStreams: true, ClientStreams: true}
}

const (
	headerVersion     = "shoal-version"
	headerCluster     = "shoal-cluster-bin"
	headerFingerprint = "shoal-digest-key"
)

// attach says hello in the headers of a stream.
func (h Hello) attach(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		headerVersion, strconv.Itoa(version),
		headerCluster, h.Cluster,
		headerFingerprint, fmt.Sprintf("%016x", h.Fingerprint))
}

// check refuses a stream whose hello differs.
func (h Hello) check(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	get := func(key string) string {
		if v := md.Get(key); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	switch {
	case get(headerVersion) != strconv.Itoa(version):
		return status.Errorf(codes.FailedPrecondition, "shoal: peer speaks version %q of the protocol, this replica %d", get(headerVersion), version)
	case get(headerCluster) != h.Cluster:
		return status.Errorf(codes.FailedPrecondition, "shoal: peer belongs to cluster %q, this replica to another", get(headerCluster))
	case get(headerFingerprint) != fmt.Sprintf("%016x", h.Fingerprint):
		return status.Error(codes.FailedPrecondition, "shoal: peer digests keys under another DigestKey; all replicas need the same")
	}
	return nil
}
