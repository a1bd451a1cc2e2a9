package studio

import (
	"strings"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// UnitTest makes a unit test of one input: the name of its file, in the scope
// of the input's cluster where the set has modules for it, and its text. The
// test holds while the policies decide as d says.
func UnitTest(in *policy.Input, modules map[string]string, d policy.Decision) (name, text string, err error) {
	cluster := ""
	for file := range modules {
		if c, ok := clusterOf(file); ok && c == in.Resource.Cluster {
			cluster = c
			break
		}
	}
	return rego.TestFor(in, cluster, d)
}

// clusterOf returns the cluster that a file governs.
func clusterOf(file string) (string, bool) {
	rest, ok := strings.CutPrefix(file, "clusters/")
	if !ok {
		return "", false
	}
	cluster, _, ok := strings.Cut(rest, "/")
	return cluster, ok
}
