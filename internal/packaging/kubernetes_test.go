// Package packaging holds tests of what packaging/ has for other systems.
package packaging

import (
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestDaemonSet reads the manifest as the API of Kubernetes does, which knows no other
// fields, and looks at what it must say to be of use.
func TestDaemonSet(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "packaging", "kubernetes", "daemonset.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.DaemonSet
	if err := yaml.UnmarshalStrict(data, &d); err != nil {
		t.Fatal(err)
	}
	if d.APIVersion != "apps/v1" || d.Kind != "DaemonSet" || d.Name == "" {
		t.Errorf("%s %s %q", d.APIVersion, d.Kind, d.Name)
	}
	pod := d.Spec.Template
	for k, v := range d.Spec.Selector.MatchLabels {
		if pod.Labels[k] != v {
			t.Errorf("the pods have not the label %s=%s that selects them", k, v)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	ports := map[string]bool{}
	for _, c := range pod.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: there is no volume %s", c.Name, m.Name)
			}
		}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		if s := c.SecurityContext; s == nil || s.Capabilities == nil || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" ||
			s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Privileged != nil {
			t.Errorf("%s has more privileges than it names", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s has no limit of memory", c.Name)
		}
	}
	if !pod.Spec.HostPID {
		t.Error("programs of the node are out of sight")
	}
	if !ports["metrics"] || pod.Annotations["prometheus.io/scrape"] != "true" {
		t.Error("nobody scrapes it")
	}
}
