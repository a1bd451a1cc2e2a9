package main

import (
	"context"
	"time"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/rego"
)

// loadPolicies puts src in force. It is compiled, tested and tried by a child
// process first: a set that takes all memory, or the whole stack, ends that
// one, wherever the set came from.
func (g *gateway) loadPolicies(ctx context.Context, src rego.Source) (string, error) {
	if len(src) > 0 {
		if _, err := g.studio.Load(ctx, src, decisionDeadline); err != nil {
			return "", err
		}
	}
	revision, err := g.engine.LoadTested(ctx, src)
	if err == nil {
		g.inForce.Store(&policySet{src, revision})
	}
	return revision, err
}

// A policySet is the modules that an engine's revision was made of.
type policySet struct {
	modules  rego.Source
	revision string
}

// commandTrial is where commands try policies: within the limits of the
// gateway's, so that what passes here passes there.
func commandTrial() *studio.Runner {
	return studio.New(studio.Config{Command: policyWorker, Limits: studio.Limits{Time: 5 * time.Minute}})
}
