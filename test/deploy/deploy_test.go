// Package deploy holds the files of cmd/demo/deploy to what reads them: Compose v2 by its
// own loader, Kubernetes by its own types. It is a module of its own, so that neither
// reaches a user's go.mod.
//
// Strictly: a field that the reader doesn't know is a fault, as a misspelt one would
// otherwise be nothing. That the manifests say what the code does is checked beside it,
// in cmd/demo/deploy_test.go, and that docker-compose 1.29 reads the file, by .ci/docker,
// which runs it. Nothing here needs a daemon or a cluster.
//
// Where these readers have found nothing wrong, `docker compose` and `kubectl apply` don't
// either, as they read with the same code.
//
// The two Dockerfiles make the same image of different beginnings, so their last stages
// are compared line by line.
package deploy

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const dir = "../../cmd/demo/deploy/"

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(dir + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestComposeReadsIt(t *testing.T) {
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: dir + "compose.yaml", Content: read(t, "compose.yaml")}},
	}, func(o *loader.Options) { o.SetProjectName("shoal", true) })
	if err != nil {
		t.Fatal(err)
	}
	replica, balancer := project.Services["replica"], project.Services["balancer"]
	if len(project.Services) != 2 || replica.Image != "shoal-demo" || replica.Image != balancer.Image {
		t.Errorf("services %v, images %q and %q", project.ServiceNames(), replica.Image, balancer.Image)
	}
	if len(replica.Ports) != 0 || replica.ContainerName != "" {
		t.Error("a replica with a name or a port of the host can't be there twice")
	}
	if p := balancer.Ports; len(p) != 1 || p[0].HostIP != "127.0.0.1" || p[0].Published != "8080" {
		t.Errorf("the balancer's ports are %v", p)
	}
	if len(replica.Secrets) != 1 || !strings.HasSuffix(project.Secrets["shoal"].File, "secret") {
		t.Errorf("secrets %v of %v", replica.Secrets, project.Secrets)
	}
}

func TestKubernetesReadsIt(t *testing.T) {
	kinds := map[string]any{
		"Service":                 &core.Service{},
		"StatefulSet":             &apps.StatefulSet{},
		"PodDisruptionBudget":     &policy.PodDisruptionBudget{},
		"HorizontalPodAutoscaler": &autoscaling.HorizontalPodAutoscaler{},
		"NetworkPolicy":           &networking.NetworkPolicy{},
	}
	var met []string
	for document := range bytes.SplitSeq(read(t, "kubernetes.yaml"), []byte("\n---\n")) {
		var head struct {
			Kind       string `json:"kind"`
			APIVersion string `json:"apiVersion"`
		}
		if err := yaml.Unmarshal(document, &head); err != nil {
			t.Fatal(err)
		}
		object := kinds[head.Kind]
		if object == nil {
			t.Fatalf("a document is of the kind %q", head.Kind)
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s: %v", head.Kind, err)
		}
		met = append(met, head.APIVersion+" "+head.Kind)
	}
	slices.Sort(met)
	want := []string{"apps/v1 StatefulSet", "autoscaling/v2 HorizontalPodAutoscaler", "networking.k8s.io/v1 NetworkPolicy", "policy/v1 PodDisruptionBudget", "v1 Service", "v1 Service"}
	if !slices.Equal(met, want) {
		t.Errorf("there are %q, want %q", met, want)
	}
}

// Both Dockerfiles end in the same image.
func TestDockerfilesAgree(t *testing.T) {
	stage := func(name string) string {
		_, last, found := strings.Cut(string(read(t, name)), "FROM scratch\n")
		if !found {
			t.Fatalf("%s has no FROM scratch", name)
		}
		return regexp.MustCompile(`(?m)^COPY .*$`).ReplaceAllString(last, "COPY")
	}
	if a, b := stage("Dockerfile"), stage("Dockerfile.binary"); a != b || !strings.Contains(a, "\nUSER 65532:65532\n") {
		t.Errorf("the last stages are\n%s\nand\n%s", a, b)
	}
}
