package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/shoal-dev/shoal/bucket"
)

// message is a frame of any bytes.
func message(b []byte) *frame { return &frame{out: &b} }

// hostileOwner is a peer of a server that does with its streams what it likes.
type hostileOwner struct {
	*Peer
	dials atomic.Int64
	log   bytes.Buffer // read it after Close
}

func dialHostile(t *testing.T, serve func(grpc.ServerStream) error) *hostileOwner {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{new(pool)}), grpc.WaitForHandlers(true))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{askDesc(func(_ any, stream grpc.ServerStream) error { return serve(stream) })},
	}, nil)
	go s.Serve(l)
	h := &hostileOwner{}
	began := time.Now()
	h.Peer = Dial(PeerConfig{
		Address: "owner",
		Now:     func() int64 { return int64(time.Since(began)) },
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			h.dials.Add(1)
			return l.DialContext(ctx)
		},
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	t.Cleanup(func() {
		h.Close()
		s.Stop()
	})
	return h
}

// answering is an owner that makes the reply to each frame of hits from the right one.
func answering(change func(reply []byte) []byte) func(grpc.ServerStream) error {
	return func(stream grpc.ServerStream) error { return distorting(stream, mute{}, kindReply, change) }
}

// beating is an owner that makes the answer to each heartbeat from the right one.
func beating(change func(sight []byte) []byte) func(grpc.ServerStream) error {
	return func(stream grpc.ServerStream) error { return distorting(stream, mute{}, kindSight, change) }
}

// deciding is an owner that keeps to the rules, but doesn't say who it is.
func deciding(stream grpc.ServerStream, h Handler) error { return distorting(stream, h, 0, nil) }

func distorting(stream grpc.ServerStream, h Handler, kind byte, change func([]byte) []byte) error {
	_ = stream.SendHeader(nil) // unless a frame brought it
	s := session{decider: decider{handler: h}, memory: new(memory), buffers: new(pool)}
	for {
		var in frame
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		out, err := s.answer(in.in.ReadOnlyData())
		in.in.Free()
		if err != nil {
			return err
		}
		said := bytes.Clone(*out.out)
		if kindOf(said) == kind {
			said = change(said)
		}
		if err := stream.SendMsg(message(said)); err != nil {
			return err
		}
	}
}

// An owner that breaks the rules loses the stream. Its askers' calls fail at
// once, the log says why, and the next attempts are no faster than with any
// other broken peer.
func TestHostileOwner(t *testing.T) {
	tests := map[string]struct {
		serve func(grpc.ServerStream) error
		want  string
	}{
		"a reply to nothing": {func(stream grpc.ServerStream) error {
			_ = stream.SendMsg(message(replied(1, bucket.Verdict{Allowed: true})))
			return answering(func(reply []byte) []byte { return reply })(stream)
		}, "a reply to "}, // nothing, unless the first hit was there already
		"two replies": {func(stream grpc.ServerStream) error {
			double := answering(func(reply []byte) []byte {
				_ = stream.SendMsg(message(bytes.Clone(reply)))
				return reply
			})
			return double(stream)
		}, "a reply to nothing"},
		"a verdict too many": {answering(func([]byte) []byte { return replied(0, bucket.Verdict{}, bucket.Verdict{}) }), "a reply to 2 hits from 0, where 1 from 1"},
		"a verdict too few":  {answering(func([]byte) []byte { return replied(0) }), "a reply to 0 hits from 0, where 1 from 1"},
		"another frame's":    {answering(func([]byte) []byte { return replied(2, bucket.Verdict{}) }), "a reply to 1 hits from 2, where 1 from 1"},
		"garbage":            {answering(func([]byte) []byte { return []byte("garbage") }), "not a Frame"},
		"nothing":            {answering(func([]byte) []byte { return nil }), "not a Frame"},
		"a request":          {answering(func([]byte) []byte { return encoded(t, 0, 0, &Call{Hit: hit(0)}) }), "kind 1"},
		"another version":    {answering(func(reply []byte) []byte { return change(reply, 0, 9) }), "version 9"},
		"a huge message":     {answering(func([]byte) []byte { return make([]byte, maxMessage+1) }), "larger than max"},
		"two answers to a heartbeat": {func(stream grpc.ServerStream) error {
			return beating(func(sight []byte) []byte {
				_ = stream.SendMsg(message(bytes.Clone(sight)))
				return sight
			})(stream)
		}, "an answer to no heartbeat"},
		"half an answer to a heartbeat": {beating(func(sight []byte) []byte { return sealed(sight[envelopeBytes : len(sight)-1]...) }), "19 bytes are no heartbeat"},
		"a heartbeat of its own":        {beating(func([]byte) []byte { return *heartbeat(0).out }), "no header"},
		"a sight for a reply":           {answering(func([]byte) []byte { return *sighting(Sight{}).out }), "an answer to no heartbeat"},
		"a reply for a sight":           {beating(func([]byte) []byte { return replied(7, bucket.Verdict{}) }), "a reply to "},
		"the end": {func(stream grpc.ServerStream) error {
			_ = stream.SendHeader(nil)
			_ = stream.RecvMsg(new(frame))
			return nil
		}, "EOF"},
		"no hello": {func(grpc.ServerStream) error { return nil }, "EOF"},
		"a refusal": {func(grpc.ServerStream) error {
			return status.Error(codes.PermissionDenied, "not today")
		}, "not today"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := dialHostile(t, tt.serve)
				// Each call fails, but for one that had its answer before
				// the stream went wrong.
				allowed := 0
				for range 40 {
					switch _, err := ask(h.Peer, hit(0), h.config.Now()+int64(50*ms)); {
					case err == nil:
						allowed++
					case !errors.Is(err, ErrUnavailable):
						t.Fatal(err)
					}
					time.Sleep(100 * ms)
				}
				if n := int(h.dials.Load()); n < 4 || n > 14 || allowed > n {
					t.Errorf("%d attempts in 4 s, %d calls were answered", n, allowed)
				}
				h.Close()
				if text := h.log.String(); !strings.Contains(text, tt.want) || strings.Count(text, "\n") != 1 {
					t.Errorf("logged\n%swant one line with %q", text, tt.want)
				}
			})
		})
	}
}

// One who takes the stream and says nothing is given up after dialTime.
func TestOwnerThatSaysNoHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := dialHostile(t, func(stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return nil
		})
		time.Sleep(10 * time.Second)
		if n := h.dials.Load(); n < 5 || n > 9 || h.Condition().Connected {
			t.Errorf("%d attempts in 10 s, connected %v", n, h.Condition().Connected)
		}
		if _, err := ask(h.Peer, hit(0), h.config.Now()+int64(50*ms)); err != ErrUnavailable {
			t.Error(err)
		}
		h.Close()
		if text := h.log.String(); !strings.Contains(text, "deadline exceeded") || strings.Count(text, "\n") != 1 {
			t.Errorf("logged\n%swant one line of an exceeded deadline", text)
		}
	})
}

// An owner may use any stride, and what later versions add.
func TestLaterOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := dialHostile(t, answering(func(reply []byte) []byte {
			inner := append(bytes.Clone(reply[envelopeBytes:]), 1, 2, 3, 4)
			inner[13] = verdictBytes + 4
			return sealed(inner...)
		}))
		for range 10 {
			if a, err := ask(h.Peer, hit(0), h.config.Now()+int64(50*ms)); err != nil || !a.Verdict.Allowed {
				t.Errorf("%+v, %v", a, err)
			}
		}
	})
}

// An asker that breaks the rules has its stream ended, with an error that says
// why, and nobody else's.
func TestHostileAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 20)
		s := NewServer(&scribe{now: int64(time.Hour)}, Hello{Boot: 2}, nil)
		go s.Serve(l)
		defer s.Close()
		conn, err := grpc.NewClient("passthrough:///owner",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{new(pool)})))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		desc := askDesc(nil)
		open := func() grpc.ClientStream {
			stream, err := conn.NewStream(Hello{Boot: 1}.attach(t.Context(), 2), &desc, methodAsk)
			if err != nil {
				t.Fatal(err)
			}
			return stream
		}
		ask := func(stream grpc.ClientStream, b []byte) error {
			if err := stream.SendMsg(message(b)); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			var f frame
			if err := stream.RecvMsg(&f); err != nil {
				return err
			}
			var r reply
			defer f.in.Free()
			return r.parse(f.in.ReadOnlyData())
		}
		good := encoded(t, 0, 0, &Call{Hit: hit(1), expire: int64(time.Second)})
		honest := open()
		for name, f := range hostileRequests(t) {
			stream := open()
			if err := ask(stream, good); err != nil {
				t.Fatalf("%s: before it: %v", name, err)
			}
			err := ask(stream, []byte(f[0]))
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), f[1]) {
				t.Errorf("%s: error %v, want one with %q", name, err, f[1])
			}
			if err := ask(honest, good); err != nil {
				t.Fatalf("%s: another's stream: %v", name, err)
			}
		}
		huge := open()
		if err := ask(huge, make([]byte, maxMessage+1)); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "larger than max") {
			t.Errorf("a huge frame: %v", err)
		}
		if err := honest.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := honest.RecvMsg(new(frame)); err != io.EOF {
			t.Errorf("the end of a stream: %v", err)
		}
		if stream, err := conn.NewStream(t.Context(), &desc, methodAsk); err != nil {
			t.Error(err)
		} else if err := stream.RecvMsg(new(frame)); !strings.Contains(err.Error(), `version ""`) {
			t.Errorf("without a hello: %v", err)
		}
	})
}

func TestCodecRefusesOtherMessages(t *testing.T) {
	if _, err := (rawCodec{new(pool)}).Marshal("text"); err == nil {
		t.Error("a string was marshalled")
	}
	if err := (rawCodec{new(pool)}).Unmarshal(mem.BufferSlice{}, new(string)); err == nil {
		t.Error("a string was unmarshalled")
	}
	if name := (rawCodec{new(pool)}).Name(); name != "proto" {
		t.Errorf("the codec is called %q", name)
	}
}
