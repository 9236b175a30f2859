// Renders a kustomization and checks the kinds of Prometheus' operator in it against its own Go
// types, unknown fields refused: go run . ../../deploy/kubernetes/overlays/example
//
// The kinds of Kubernetes itself are checked by check.py, which calls this.
package main

import (
	"fmt"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("takes the directory of a kustomization")
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), arguments[0])
	if err != nil {
		return err
	}
	for _, resource := range resources.Resources() {
		var into any
		switch resource.GetKind() {
		case "PodMonitor":
			into = &monitoring.PodMonitor{}
		case "PrometheusRule":
			into = &monitoring.PrometheusRule{}
		default:
			continue
		}
		text, err := resource.AsYAML()
		if err != nil {
			return err
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			return fmt.Errorf("%s %s: %w", resource.GetKind(), resource.GetName(), err)
		}
	}
	text, err := resources.AsYaml()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
