package prometheus

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/prom"
)

// What makes of this binary a replica: its name, and the seeds.
const nameVariable, seedsVariable = "SHOAL_REPLICA", "SHOAL_SEEDS"

func TestMain(m *testing.M) {
	if os.Getenv(nameVariable) == "" {
		os.Exit(m.Run())
	}
	if err := replica(os.Getenv(nameVariable), strings.Fields(os.Getenv(seedsVariable))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// replica runs until it is killed. When it is ready it says where its gossip and its
// metrics are.
func replica(name string, seeds []string) error {
	node, err := cluster.Start(context.Background(), cluster.Config{Name: name, Bind: "127.0.0.1:0", Seeds: seeds})
	if err != nil {
		return err
	}
	registry := client.NewRegistry()
	registry.MustRegister(prom.New(node))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(node.GossipAddress(), listener.Addr())
	go load(node)
	return http.Serve(listener, mux)
}

// load has keys of all replicas hit, under rules that allow, refuse and would refuse.
func load(node *cluster.Node) {
	rules := []*bucket.Rule{
		bucket.MustRule("api", "1000/second"),
		bucket.MustRule("login", "2/minute"),
		bucket.MustRule("search", "2/minute", bucket.WithMode(bucket.Shadow)),
	}
	for i := 0; ; i++ {
		for _, rule := range rules {
			if _, err := node.Take(context.Background(), rule, fmt.Sprint("user ", i%50), 1); err != nil {
				panic(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// startReplicas starts four, kills the last when all have met, and returns where the
// others have their metrics.
func startReplicas(t *testing.T) (metrics []string) {
	t.Helper()
	var seeds []string
	var last *exec.Cmd
	for _, name := range []string{"a", "b", "c", "d"} {
		last = exec.Command(os.Args[0])
		last.Env = append(os.Environ(), nameVariable+"="+name, seedsVariable+"="+strings.Join(seeds, " "))
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		last.Stdout = in
		start(t, last)
		_ = in.Close()
		line, err := bufio.NewReader(out).ReadString('\n')
		fields := strings.Fields(line)
		if err != nil || len(fields) != 2 {
			t.Fatalf("%s said %q, %v", name, line, err)
		}
		seeds, metrics = append(seeds, fields[0]), append(metrics, "http://"+fields[1]+"/metrics")
	}
	for _, address := range metrics {
		await(t, address, func() bool { return ready(page(address)) })
	}
	_ = last.Process.Kill()
	targets := make([]string, 3)
	for i := range targets {
		targets[i] = strings.TrimSuffix(strings.TrimPrefix(metrics[i], "http://"), "/metrics")
	}
	return targets
}

// page returns what is at an address, or what is wrong.
func page(address string) string {
	response, err := http.Get(address)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	var b strings.Builder
	_, _ = bufio.NewReader(response.Body).WriteTo(&b)
	return b.String()
}

// ready reports whether a replica is, has met the three others and asked them.
func ready(metrics string) bool {
	var members, isReady bool
	for line := range strings.Lines(metrics) {
		members = members || strings.HasPrefix(line, "shoal_members{") && strings.HasSuffix(line, " 4\n")
		isReady = isReady || strings.HasPrefix(line, "shoal_ready{") && strings.HasSuffix(line, " 1\n")
	}
	return members && isReady && strings.Contains(metrics, `path="forwarded"`)
}
