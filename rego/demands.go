package rego

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

const mainName = stockPrefix + "main.rego"

const demandsName = stockPrefix + "demands.rego"

// demands returns the module that says which scopes define allow: within the
// language, a rule that does not exist looks like one that does not hold.
func demands(modules map[string]module) *ast.Module {
	var b strings.Builder
	b.WriteString("package ringfence.demands\n\nimport rego.v2\n\n")
	said := map[scope]bool{}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m := modules[name]
		defines := slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return r.Head.Name == "allow" })
		if m.scope.test || !defines || said[m.scope] {
			continue
		}
		said[m.scope] = true
		if m.scope.cluster == "" {
			b.WriteString("all := true\n")
		} else {
			fmt.Fprintf(&b, "clusters[%q] := true\n", m.scope.cluster)
		}
	}
	return ast.MustParseModuleWithOpts(b.String(), ast.ParserOptions{RegoVersion: ast.RegoV1})
}

// defines names the contributed rules that some module defines, such as
// all.deny or clusters.allow.
func defines(modules map[string]module) map[string]bool {
	out := map[string]bool{}
	for _, m := range modules {
		if m.scope.test {
			continue
		}
		for _, r := range m.Rules {
			out[m.scope.path()[1]+"."+ruleName(r)] = true
		}
	}
	return out
}

// prune takes those rules out of the entry module that read a contribution
// which no module of the set defines. They could never hold, and looking for
// what is not there is a quarter of a decision's cost. The last rule of each
// name stays, so that the name does.
func prune(main *ast.Module, defined map[string]bool) {
	left := map[string]int{}
	for _, r := range main.Rules {
		left[ruleName(r)]++
	}
	main.Rules = slices.DeleteFunc(main.Rules, func(r *ast.Rule) bool {
		dead := false
		ast.WalkRefs(r.Body, func(ref ast.Ref) bool {
			contribution := contributionOf(ref)
			dead = dead || contribution != "" && !defined[contribution]
			return false
		})
		if !dead || left[ruleName(r)] == 1 {
			return false
		}
		left[ruleName(r)]--
		return true
	})
}

// contributionOf names what a reference of the entry module reads of
// administrators' packages; empty for any other.
func contributionOf(ref ast.Ref) string {
	scope := segments(ref)
	if len(scope) < 2 || scope[0] != "ringfence" || scope[1] != "all" && scope[1] != "clusters" {
		return ""
	}
	if rule, ok := ref[len(ref)-1].Value.(ast.String); ok {
		return scope[1] + "." + string(rule)
	}
	return ""
}
