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
	methodCall  = "/" + serviceName + "/Call"
)

func askDesc(handler grpc.StreamHandler) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: "Ask", Handler: handler, ServerStreams: true, ClientStreams: true}
}

// callDesc is of a unary method, handled as a stream: so who calls is known before
// anything of the call is read.
func callDesc(handler grpc.StreamHandler) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: "Call", Handler: handler}
}

const (
	headerVersion     = "shoal-version"
	headerCluster     = "shoal-cluster-bin"
	headerFingerprint = "shoal-digest-key"
	headerBoot        = "shoal-boot"      // of the sender, in both directions
	headerPeer        = "shoal-peer-boot" // of the one who is meant
)

// attach says hello in the headers of a stream or a call to the boot peer, or to
// whoever is there if that is 0.
func (h Hello) attach(ctx context.Context, peer uint64) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx,
		headerVersion, strconv.Itoa(version),
		headerCluster, h.Cluster,
		headerFingerprint, idText(h.Fingerprint),
		headerBoot, idText(h.Boot))
	if peer != 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, headerPeer, idText(peer))
	}
	return ctx
}

// header is the hello of the end that answers.
func (h Hello) header() metadata.MD { return metadata.Pairs(headerBoot, idText(h.Boot)) }

// meant refuses the header of an answer that comes from another boot than peer.
// The other end has refused as well, if it is of this version: the answer to a
// call comes when the call has been handled.
func meant(peer uint64, header metadata.MD) error {
	if said := first(header, headerBoot); peer != 0 && said != idText(peer) {
		return status.Errorf(codes.NotFound, "shoal: boot %q answers, where boot %s was meant: another process has its address", said, idText(peer))
	}
	return nil
}

// idText is how ids stand in headers.
func idText(id uint64) string { return fmt.Sprintf("%016x", id) }

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// check refuses an asker whose hello differs, or who means another boot. It
// returns the asker's boot id.
func (h Hello) check(ctx context.Context) (from uint64, err error) {
	md, _ := metadata.FromIncomingContext(ctx)
	get := func(key string) string { return first(md, key) }
	from, malformed := strconv.ParseUint(get(headerBoot), 16, 64)
	switch {
	case get(headerVersion) != strconv.Itoa(version):
		return 0, status.Errorf(codes.FailedPrecondition, "shoal: peer speaks version %q of the protocol, this replica %d", get(headerVersion), version)
	case get(headerCluster) != h.Cluster:
		return 0, status.Errorf(codes.FailedPrecondition, "shoal: peer belongs to cluster %q, this replica to another", get(headerCluster))
	case get(headerFingerprint) != idText(h.Fingerprint):
		return 0, status.Error(codes.FailedPrecondition, "shoal: peer digests keys under another DigestKey; all replicas need the same")
	case malformed != nil || from == 0:
		return 0, status.Errorf(codes.FailedPrecondition, "shoal: peer says boot id %q; it needs one of its own that is not 0", get(headerBoot))
	case get(headerPeer) != "" && get(headerPeer) != idText(h.Boot):
		return 0, status.Errorf(codes.NotFound, "shoal: peer means boot %q, and boot %s has its address", get(headerPeer), idText(h.Boot))
	}
	return from, nil
}
