package grpcmw_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
	"github.com/shoal-dev/shoal/httpmw"
)

// text is an address that is no more than a text, as over a pipe or ServeHTTP.
type text string

func (text) Network() string  { return "text" }
func (t text) String() string { return string(t) }

// from is the context of a call from there with this metadata.
func from(address net.Addr, pairs ...string) context.Context {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: address})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
}

func TestPeerIP(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tcp := func(address string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)) }
	for name, x := range map[string]struct {
		trusted []netip.Prefix
		ctx     context.Context
		want    string
	}{
		"IPv4":                      {nil, from(tcp("203.0.113.7:4711")), "203.0.113.7"},
		"IPv4 in 16 bytes":          {nil, from(&net.TCPAddr{IP: net.IPv4(203, 0, 113, 7)}), "203.0.113.7"},
		"IPv6":                      {nil, from(tcp("[2001:db8:1:2:3:4:5:6]:4711")), "2001:db8:1:2::/64"},
		"a zone":                    {nil, from(tcp("[fe80::1%eth0]:4711")), "fe80::/64"},
		"a mapped address":          {nil, from(tcp("[::ffff:203.0.113.7]:4711")), "203.0.113.7"},
		"by ServeHTTP":              {nil, from(text("[2001:db8:1:2::3]:4711")), "2001:db8:1:2::/64"},
		"no proxies, so no header":  {nil, from(tcp("203.0.113.7:4711"), "x-forwarded-for", "198.51.100.1"), "203.0.113.7"},
		"a proxy":                   {ten, from(tcp("10.0.0.1:80"), "x-forwarded-for", "198.51.100.1, 203.0.113.7"), "203.0.113.7"},
		"a proxy without a header":  {ten, from(tcp("10.0.0.1:80")), "10.0.0.1"},
		"past the proxy":            {ten, from(tcp("203.0.113.7:4711"), "x-forwarded-for", "198.51.100.1"), "203.0.113.7"},
		"two lines":                 {ten, from(tcp("10.0.0.1:80"), "x-forwarded-for", "203.0.113.7", "x-forwarded-for", "10.0.0.2"), "203.0.113.7"},
		"a Unix socket":             {ten, from(&net.UnixAddr{Name: "/run/app.sock", Net: "unix"}), ""},
		"an address without an IP":  {ten, from(&net.TCPAddr{Port: 80}), ""},
		"a peer without an address": {ten, from(nil), ""},
		"no peer":                   {ten, context.Background(), ""},
	} {
		if key, err := grpcmw.PeerIP(x.trusted...)(x.ctx, "/x/y", nil); key != x.want || (err == nil) != (x.want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, key, err, x.want)
		}
	}
}

// One client has one address, by HTTP and by gRPC.
func TestPeerIPIsHTTPsClientIP(t *testing.T) {
	hop := rapid.OneOf(
		rapid.SampledFrom([]string{"10.0.0.1", "10.255.0.2:80", "::ffff:10.0.0.1", "203.0.113.7", "[2001:db8::1]:443", "[fd00::1]", "fd00::1%eth0", "unknown", "", "203.0.113.0/24", "[::1"}),
		rapid.Custom(func(t *rapid.T) string {
			b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address"))
			return netip.AddrFrom16(b).String()
		}),
		rapid.StringMatching(`[0-9a-f:.\[\]% ]{0,20}`),
	)
	trusted := []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("2001:db8::/32")}
	rapid.Check(t, func(t *rapid.T) {
		trusted := trusted[:rapid.IntRange(0, len(trusted)).Draw(t, "trusted")]
		at := rapid.OneOf(hop, rapid.Just("10.0.0.1:80"), rapid.Just("[fd00::1]:80")).Draw(t, "peer")
		var pairs, lines []string
		for _, hops := range rapid.SliceOfN(rapid.SliceOfN(hop, 1, 4), 0, 3).Draw(t, "lines") {
			line := strings.Join(hops, rapid.SampledFrom([]string{",", ", ", " ,"}).Draw(t, "comma"))
			pairs, lines = append(pairs, "x-forwarded-for", line), append(lines, line)
		}
		got, gotErr := grpcmw.PeerIP(trusted...)(from(text(at), pairs...), "", nil)
		want, wantErr := httpmw.ClientIP(trusted...)(&http.Request{RemoteAddr: at, Header: http.Header{"X-Forwarded-For": lines}})
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%s %q: got %q, %v, and by HTTP %q, %v", at, lines, got, gotErr, want, wantErr)
		}
	})
}

func TestMetadataMethodJoin(t *testing.T) {
	user := grpcmw.Metadata("X-User")
	nobody := func(context.Context, string, any) (string, error) { return "", nil }
	at := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7)}
	for name, x := range map[string]struct {
		key  grpcmw.KeyFunc
		ctx  context.Context
		want string
	}{
		"a value":                  {user, from(at, "x-user", "ann"), "ann"},
		"in binary":                {grpcmw.Metadata("id-bin"), from(at, "id-bin", "\x00\x01"), "\x00\x01"},
		"none":                     {user, from(at), ""},
		"no metadata":              {user, context.Background(), ""},
		"an empty one":             {user, from(at, "x-user", ""), ""},
		"two":                      {user, from(at, "x-user", "ann", "x-user", "bob"), ""},
		"the method":               {grpcmw.Method, from(at), "/x/y"},
		"joined":                   {grpcmw.Join(user, grpcmw.PeerIP(), grpcmw.Method), from(at, "x-user", "ann"), "3:ann11:203.0.113.74:/x/y"},
		"joined with none":         {grpcmw.Join(grpcmw.Method, user), from(at), ""},
		"joined with an empty key": {grpcmw.Join(grpcmw.Method, nobody), from(at), ""},
		"joined nothing":           {grpcmw.Join(), from(at), ""},
	} {
		if key, err := x.key(x.ctx, "/x/y", nil); key != x.want || x.want == "" && err == nil && name != "joined nothing" {
			t.Errorf("%s: got %q, %v, want %q", name, key, err, x.want)
		}
	}
}

// Whatever the parts are, other parts make another key.
func TestJoinedKeysAreDistinct(t *testing.T) {
	join := grpcmw.Join(grpcmw.Metadata("a"), grpcmw.Metadata("b"))
	part := rapid.StringMatching(`[0-9:a]{1,6}`)
	seen := map[string][2]string{}
	rapid.Check(t, func(t *rapid.T) {
		parts := [2]string{part.Draw(t, "a"), part.Draw(t, "b")}
		key, err := join(from(nil, "a", parts[0], "b", parts[1]), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[key]; ok && before != parts {
			t.Fatalf("%q is the key of %q and %q", key, before, parts)
		}
		seen[key] = parts
	})
}

// What the caller does with its slices is nothing to the key functions.
func TestKeysKeepTheirArguments(t *testing.T) {
	keys, trusted := []grpcmw.KeyFunc{grpcmw.Method}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	join, address := grpcmw.Join(keys...), grpcmw.PeerIP(trusted...)
	keys[0], trusted[0] = everybody, netip.Prefix{}
	if key, _ := join(context.Background(), "/x/y", nil); key != "4:/x/y" {
		t.Errorf("got %q", key)
	}
	if key, _ := address(from(text("10.0.0.1:80"), "x-forwarded-for", "203.0.113.7"), "", nil); key != "203.0.113.7" {
		t.Errorf("got %q", key)
	}
}

// okay is an error that says it is none.
type okay struct{ s *status.Status }

func (okay) Error() string                { return "okay" }
func (o okay) GRPCStatus() *status.Status { return o.s }

// A call without a key never passes.
func TestNoKey(t *testing.T) {
	const text = "the call does not say on whose behalf it is made"
	for name, x := range map[string]struct {
		err  error
		opts []grpcmw.Option
		code codes.Code
		text string
	}{
		"empty":           {nil, nil, codes.InvalidArgument, text},
		"error":           {errors.New("secret"), nil, codes.InvalidArgument, text},
		"unauthenticated": {errors.New("secret"), []grpcmw.Option{grpcmw.WithNoKeyCode(codes.Unauthenticated)}, codes.Unauthenticated, text},
		"denied":          {nil, []grpcmw.Option{grpcmw.WithNoKeyCode(codes.PermissionDenied)}, codes.PermissionDenied, text},
		"a status":        {status.Error(codes.NotFound, "no such user"), nil, codes.NotFound, "no such user"},
		"a status OK":     {okay{status.New(codes.OK, "")}, nil, codes.InvalidArgument, text},
		"a status nil":    {okay{}, nil, codes.InvalidArgument, text},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{d: allowed}
			s := service{unary: func(context.Context) error { t.Error("the handler was called"); return nil }}
			key := func(context.Context, string, any) (string, error) { return "", x.err }
			c := serve(t, newLimit(t, f, bucket.MustRule("api", "10/minute"), key, x.opts...), s)
			a := call(t.Context(), c)
			_, err := kinds["bidi"](t.Context(), c)
			for _, err := range []error{a.err, err} {
				if got := status.Convert(err); got.Code() != x.code || got.Message() != x.text || len(got.Details()) != 0 {
					t.Errorf("got %v", got)
				}
			}
			checkFields(t, metadata.Join(a.header, a.trailer))
			f.check(t)
		})
	}
}

// A key function sees all of a call.
func TestKeysSeeTheCall(t *testing.T) {
	f := &fake{d: allowed}
	c := serve(t, newLimit(t, f, bucket.MustRule("api", "10/minute"), grpcmw.Join(grpcmw.PeerIP(), grpcmw.Metadata("x-user"))), service{})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user", "ann")
	checkCode(t, call(ctx, c).err, codes.OK)
	_, err := kinds["client"](ctx, c)
	checkCode(t, err, codes.OK)
	want := asked{"api", "11:203.0.113.73:ann", 1}
	f.check(t, want, want)
}
