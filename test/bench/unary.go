package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/shoal-dev/shoal/bucket"
)

// unary is what one would write without batching: a gRPC method that takes a
// key and returns what remains of it. One connection, no options, no deadline.
type unary struct{}

const (
	unaryService = "shoal.bench.Unary"
	unaryMethod  = "/" + unaryService + "/Take"
)

// unaryOwner decides with the store that Shoal uses.
type unaryOwner struct {
	decider
	rule *bucket.Rule
}

// take is the method: a key, and in return the tokens that remain, or less than
// 0 if there are none. A message with all of a Decision would cost more.
func (o unaryOwner) take(key *wrapperspb.StringValue) *wrapperspb.Int64Value {
	d := o.store.Take(o.rule, key.Value, 1, o.Now())
	if !d.Allowed {
		return wrapperspb.Int64(-1)
	}
	return wrapperspb.Int64(d.Remaining)
}

func (o unaryOwner) desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: unaryService,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Take",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var key wrapperspb.StringValue
				if err := decode(&key); err != nil {
					return nil, err
				}
				return o.take(&key), nil
			},
		}},
	}
}

func (unary) serve() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer()
	o := unaryOwner{newDecider(), benchRule()}
	server.RegisterService(o.desc(), o)
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), server.Stop, nil
}

func (unary) connect(ctx context.Context, address string, keys int) (asker, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	a := &unaryAsker{conn: conn, keys: keyNames(keys)}
	return answering(ctx, a)
}

type unaryAsker struct {
	conn *grpc.ClientConn
	keys []string
}

func (a *unaryAsker) ask(i int) error {
	var left wrapperspb.Int64Value
	if err := a.conn.Invoke(context.Background(), unaryMethod, wrapperspb.String(a.keys[i]), &left); err != nil {
		return err
	}
	if left.Value < 0 {
		return errRefused
	}
	return nil
}

func (a *unaryAsker) check() error { return nil }

func (a *unaryAsker) close() { _ = a.conn.Close() }
