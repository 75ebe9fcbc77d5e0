package envoyrls_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
	"github.com/shoal-dev/shoal/test/simnet"
)

// replica is a node that answers the protocol, on a machine of its own.
type replica struct {
	*cluster.Node
	host   *simnet.Host
	server *grpc.Server
	client rls.RateLimitServiceClient
}

// replicas starts some, and waits until they are one cluster.
func replicas(t *testing.T, n int, source envoyrls.Source) []*replica {
	t.Helper()
	t.Cleanup(simnet.Drain)
	network := simnet.New(simnet.Options{Seed: 1})
	envoy := network.Host("10.0.1.1")
	var all []*replica
	for i := range n {
		all = append(all, start(t, network.Host(fmt.Sprint("10.0.0.", i+1)), envoy, source))
	}
	for _, r := range all {
		for wait := 0; len(r.Members()) < n || !r.Ready(); wait++ {
			if wait > 10_000 {
				t.Fatalf("%s sees %v", r.Name(), r.Members())
			}
			time.Sleep(time.Millisecond)
		}
	}
	return all
}

func start(t *testing.T, host, envoy *simnet.Host, source envoyrls.Source) *replica {
	t.Helper()
	node, err := cluster.Start(t.Context(), cluster.Config{
		Name:     host.Addr(),
		Bind:     "0.0.0.0:7946",
		Seeds:    []string{"10.0.0.1:7946"},
		Insecure: true, // a network of memory keeps strangers out
		Network:  host,
	})
	ok(t, err)
	r := &replica{Node: node, host: host, server: grpc.NewServer()}
	envoyrls.Register(r.server, service(t, node, source, envoyrls.Options{}))
	listener, err := host.Listen(":8081")
	ok(t, err)
	go r.server.Serve(listener) // ends with Stop
	conn, err := grpc.NewClient("passthrough:///"+host.Addr()+":8081",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return envoy.Dial(ctx, addr) }))
	ok(t, err)
	r.client = rls.NewRateLimitServiceClient(conn)
	t.Cleanup(func() {
		conn.Close()
		r.end()
	})
	return r
}

// end ends what is left of a replica in the test, without a word to the others.
func (r *replica) end() {
	r.server.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Close(ctx) // which tells so
}

// ask is Envoy's call, with Envoy's deadline.
func (r *replica) ask(t *testing.T, descriptors string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	response, err := r.client.ShouldRateLimit(ctx, request("edge", descriptors))
	return words(response, err), err
}

const fleetConfig = `
domain: edge
descriptors:
  - {key: remote_address, rate_limit: {unit: hour, requests_per_unit: 10}}
  - {key: tenant, rate_limit: {unit: hour, requests_per_unit: 25}}
`

// TestLimitsHoldOverReplicas: whichever replica Envoy's load balancer takes, and
// however many calls are under way, a limit is one limit, to the token.
func TestLimitsHoldOverReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := replicas(t, 3, config(t, fleetConfig))
		var mu sync.Mutex
		passed := map[string]int{}
		var calls sync.WaitGroup
		for i := range 180 {
			descriptors := []string{"remote_address=a", "remote_address=b", "tenant=x, remote_address=c"}[i/3%3]
			calls.Go(func() {
				answer, err := all[i%3].ask(t, descriptors)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("%s: %v", descriptors, err)
				} else if answer[:3] == "OK:" {
					passed[descriptors]++
				}
			})
		}
		calls.Wait()
		if passed["remote_address=a"] != 10 || passed["remote_address=b"] != 10 || passed["tenant=x, remote_address=c"] > 10 {
			t.Errorf("passed: %v", passed)
		}
		// What was refused by one limit stays uncharged in the other. A refusal that a
		// refund has overtaken may be repeated for so long.
		time.Sleep(500 * time.Millisecond)
		for i := range 60 {
			answer, err := all[i%3].ask(t, "tenant=x, remote_address=c")
			ok(t, err)
			if answer[:3] == "OK:" {
				passed["tenant=x, remote_address=c"]++
			}
		}
		if got := passed["tenant=x, remote_address=c"]; got != 10 {
			t.Errorf("%d of c passed", got)
		}
		if answer, err := all[0].ask(t, "tenant=x"); answer != "OK: OK 14" {
			t.Errorf("tenant x after the 10 that passed, and this one: %s, %v", answer, err)
		}
	})
}

// TestAReplicaDies: the others go on answering within Envoy's deadline, and remember.
func TestAReplicaDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := replicas(t, 3, config(t, fleetConfig))
		for i := range 60 { // six addresses, each to its limit
			if answer, err := all[i%3].ask(t, fmt.Sprint("remote_address=", i%6)); answer[:3] != "OK:" {
				t.Fatalf("%s, %v", answer, err)
			}
		}
		time.Sleep(200 * time.Millisecond) // every standby has its copy
		all[2].host.Kill()
		all[2].end()
		passed := 0
		for i := range 120 {
			time.Sleep(10 * time.Millisecond)
			answer, err := all[i%2].ask(t, fmt.Sprint("remote_address=", i%6))
			if err != nil {
				t.Errorf("after %d: %v", i, err)
			}
			if answer[:3] == "OK:" {
				passed++
			}
		}
		if passed > 0 {
			t.Errorf("%d pass although all are at their limit", passed)
		}
	})
}

// TestErrorsTravel: what a client of the protocol sees.
func TestErrorsTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := replicas(t, 1, config(t, fleetConfig))[0]
		if _, err := r.client.ShouldRateLimit(t.Context(), request("", "a=1")); status.Code(err) != codes.InvalidArgument {
			t.Error(err)
		}
		ok(t, r.Close(t.Context()))
		if _, err := r.ask(t, "remote_address=a"); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		if answer, err := r.ask(t, "nothing=limits"); answer != "OK: OK" {
			t.Errorf("%s, %v", answer, err)
		}
	})
}
