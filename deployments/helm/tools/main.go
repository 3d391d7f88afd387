// Command tools is what deployments/helm/check needs beside helm and kubeconform: it makes JSON schemas of
// Kubernetes' own descriptions, writes the chart's README, asserts what no schema can say, and installs the chart on a
// real API server.
package main

import (
	"fmt"
	"os"
)

func main() {
	verbs := map[string]func([]string) error{"schemas": schemas, "readme": readme, "assert": assert, "cluster": cluster}
	if len(os.Args) > 1 {
		if verb, ok := verbs[os.Args[1]]; ok {
			if err := verb(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "FAILED", os.Args[1]+":", err)
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: tools schemas|readme|assert|cluster …")
	os.Exit(2)
}
