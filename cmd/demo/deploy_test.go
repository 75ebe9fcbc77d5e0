package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// goodbye is what an end takes at most that doesn't linger: the longest request, and the
// farewell of the node.
const goodbye = drainTime + 10*time.Second

// deployed reads a file of deploy/.
func deployed(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// starts reads the command line of a manifest, as the program does.
func starts(t *testing.T, args []string) (replicaConfig, balanceConfig) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("sixteen bytes, and more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args = slices.Clone(args)
	for i, arg := range args {
		switch {
		case strings.HasPrefix(arg, "-secret-file="):
			args[i] = "-secret-file=" + secret
		default:
			args[i] = strings.NewReplacer("$(POD_NAME)", "shoal-0", "$(POD_IP)", "10.1.2.3").Replace(arg)
		}
	}
	var r replicaConfig
	var b balanceConfig
	var err error
	switch args[0] {
	case "replica":
		r, err = parseReplica(args[1:], io.Discard, io.Discard)
	case "balance":
		b, err = parseBalance(args[1:], io.Discard, io.Discard)
	default:
		t.Fatalf("no command %q", args[0])
	}
	if err != nil {
		t.Errorf("%q: %v", args, err)
	}
	return r, b
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Error(err)
	}
	return port
}

// What compose.yaml says fits together, and gives an end its time.
func TestComposeFits(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Command []string
			Secrets []string
			Ports   []string
			Grace   time.Duration `yaml:"stop_grace_period"`
		}
	}
	if err := yaml.Unmarshal(deployed(t, "compose.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	replica, balancer := file.Services["replica"], file.Services["balancer"]
	r, _ := starts(t, replica.Command)
	_, b := starts(t, balancer.Command)
	if want := []string{"replica:" + port(t, r.cluster.Bind)}; !slices.Equal(r.cluster.Seeds, want) {
		t.Errorf("the seeds are %q, want %q", r.cluster.Seeds, want)
	}
	if want := []string{"replica:" + port(t, r.http)}; !slices.Equal(b.replicas, want) {
		t.Errorf("the balancer looks at %q, want %q", b.replicas, want)
	}
	if len(balancer.Ports) != 1 || !strings.HasSuffix(balancer.Ports[0], "}:"+port(t, b.listen)) {
		t.Errorf("the balancer listens at %s and is reached by %q", b.listen, balancer.Ports)
	}
	if !slices.Contains(replica.Command, "-secret-file=/run/secrets/"+strings.Join(replica.Secrets, "")) {
		t.Errorf("%q doesn't read the secret %q", replica.Command, replica.Secrets)
	}
	if least := r.linger + goodbye; replica.Grace < least || balancer.Grace < b.linger+drainTime {
		t.Errorf("a replica has %v to end, and may take %v; the balancer has %v", replica.Grace, least, balancer.Grace)
	}
	if r.linger < 2*probeEvery {
		t.Errorf("a replica lingers %v, and the balancer looks every %v", r.linger, probeEvery)
	}
}

// stateful is what TestKubernetesFits looks at of a document.
type stateful struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		ClusterIP   string `yaml:"clusterIP"`
		Publish     bool   `yaml:"publishNotReadyAddresses"`
		ServiceName string `yaml:"serviceName"`
		Replicas    int
		MinReplicas int `yaml:"minReplicas"`
		Ports       []struct{ Name, Protocol, Port, TargetPort string }
		Ingress     []struct {
			Ports []struct{ Port, Protocol string }
		}
		Template struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args  []string
					Ports []struct {
						Name, Protocol string
						Number         string `yaml:"containerPort"`
					}
					Readiness probe `yaml:"readinessProbe"`
					Liveness  probe `yaml:"livenessProbe"`
					Resources struct{ Limits struct{ Memory string } }
					Lifecycle struct {
						PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
					}
				}
			}
		}
	}
}

type probe struct {
	Get struct{ Path, Port string } `yaml:"httpGet"`
}

// What kubernetes.yaml says fits together and to the code.
func TestKubernetesFits(t *testing.T) {
	byName := map[string]stateful{}
	for document := range bytes.SplitSeq(deployed(t, "kubernetes.yaml"), []byte("\n---\n")) {
		var d stateful
		if err := yaml.Unmarshal(document, &d); err != nil {
			t.Fatal(err)
		}
		byName[d.Kind+" "+d.Metadata.Name] = d
	}
	set := byName["StatefulSet shoal"].Spec
	pod := set.Template.Spec
	c := pod.Containers[0]
	r, _ := starts(t, c.Args)

	ports := []string{"http TCP " + port(t, r.http), "gossip TCP " + port(t, r.cluster.Bind), "gossip-udp UDP " + port(t, r.cluster.Bind), "peers TCP " + port(t, r.cluster.PeerBind)}
	var got, open, allowed []string
	for _, p := range c.Ports {
		got = append(got, p.Name+" "+p.Protocol+" "+p.Number)
		open = append(open, p.Name+" "+p.Protocol)
	}
	if !slices.Equal(got, ports) {
		t.Errorf("the ports are %q, and the program's %q", got, ports)
	}
	for _, in := range byName["NetworkPolicy shoal"].Spec.Ingress {
		for _, p := range in.Ports {
			allowed = append(allowed, p.Port+" "+p.Protocol)
		}
	}
	if !slices.Equal(allowed, open) {
		t.Errorf("the network lets in %q of %q", allowed, open)
	}

	peers := byName["Service "+set.ServiceName].Spec
	if peers.ClusterIP != "None" || !peers.Publish {
		t.Error("replicas that aren't ready can't find each other")
	}
	if want := []string{set.ServiceName + ":" + port(t, r.cluster.Bind)}; !slices.Equal(r.cluster.Seeds, want) {
		t.Errorf("the seeds are %q, want %q", r.cluster.Seeds, want)
	}
	if r.cluster.Advertise != "10.1.2.3:"+port(t, r.cluster.Bind) || r.cluster.Name != "shoal-0" {
		t.Errorf("it is %s at %s", r.cluster.Name, r.cluster.Advertise)
	}

	preStop := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	grace := time.Duration(pod.Grace) * time.Second
	if least := preStop + r.linger + goodbye; preStop == 0 || grace < least {
		t.Errorf("a pod has %v to end, and may take %v", grace, least)
	}
	// The buckets may take MaxMemory, 256 MiB by default, and a fifth more.
	mb, err := strconv.Atoi(strings.TrimSuffix(c.Resources.Limits.Memory, "Mi"))
	if err != nil || mb*10 < 256*12 {
		t.Errorf("a pod may have %s of memory: a flood of keys would end it", c.Resources.Limits.Memory)
	}
	if low := byName["HorizontalPodAutoscaler shoal"].Spec.MinReplicas; set.Replicas < 3 || low != set.Replicas {
		t.Errorf("%d replicas, at least %d", set.Replicas, low)
	}

	_, h := newAlone(t)
	for path, want := range map[string]string{c.Readiness.Get.Path: "ready\n", c.Liveness.Get.Path: "ok\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s answers %d %q", path, w.Code, w.Body)
		}
	}
	if c.Readiness.Get.Port != "http" || c.Liveness.Get.Port != "http" {
		t.Error("the probes ask at another port than that of the service")
	}
}

// The image is built by a Go that is new enough.
func TestDockerfileHasTheRightGo(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	got := regexp.MustCompile(`(?m)^FROM golang:(\d+\.\d+) `).FindSubmatch(deployed(t, "Dockerfile"))
	if want == nil || got == nil || string(want[1]) != string(got[1]) {
		t.Errorf("the Dockerfile has Go %q, and go.mod %q", got, want)
	}
}

// What the image exposes is what the manifests use.
func TestDockerfileFits(t *testing.T) {
	for _, name := range []string{"Dockerfile", "Dockerfile.binary"} {
		exposed := regexp.MustCompile(`(?m)^EXPOSE (.*)$`).FindSubmatch(deployed(t, name))
		if exposed == nil {
			t.Fatalf("%s exposes nothing", name)
		}
		var want []string
		for _, p := range regexp.MustCompile(`containerPort: (\d+), protocol: (\w+)`).FindAllSubmatch(deployed(t, "kubernetes.yaml"), -1) {
			want = append(want, fmt.Sprintf("%s/%s", p[1], bytes.ToLower(p[2])))
		}
		if got := strings.Fields(string(exposed[1])); !slices.Equal(got, want) {
			t.Errorf("%s exposes %q, want %q", name, got, want)
		}
	}
}
