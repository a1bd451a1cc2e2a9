package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
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

func (g *gateway) buildPolicy(ctx context.Context) (err error) {
	cfg := g.cfg.Load()
	if g.engine, err = rego.NewEngine(rego.Config{Deadline: decisionDeadline, Logger: g.logger}); err != nil {
		return err
	}
	if err = g.buildBundles(ctx); err != nil {
		return err
	}
	src, err := policySource(ctx, cfg, g.db)
	if err != nil {
		return err
	}
	if _, err = g.loadPolicies(ctx, src); err != nil {
		return &hintError{fmt.Errorf("loading policies: %w", err), "Mend them, and look with 'ringfence check'. The gateway does not start without the policies it was given."}
	}
	g.tookForce(ctx, src)
	return g.policiesAtStart(ctx, src, g.engine.Revision())
}

// policySource reads the administrators' policies from where the configuration says.
func policySource(ctx context.Context, cfg *config.Config, db *store.DB) (rego.Source, error) {
	if cfg.Policies != "" {
		return readPolicies(cfg.Policies)
	}
	if cfg.PolicyBundle.Enabled() {
		return bundledPolicies(ctx, cfg)
	}
	r, err := storedPolicies(ctx, cfg, db)
	return rego.Source(r.Modules), err
}

// readPolicies reads the configured folder. One without a policy is more
// likely a volume that is not mounted than what was meant.
func readPolicies(folder string) (rego.Source, error) {
	src, err := rego.ReadFolder(folder)
	if err == nil && len(src) == 0 {
		err = &hintError{fmt.Errorf("reading policies: %s holds none", folder), "Is it mounted? To have no policies, take 'policies' out of the configuration."}
	}
	return src, err
}

// refreshPolicy swaps the policy set, or keeps the old one and says why.
func (g *gateway) refreshPolicy(ctx context.Context) error {
	g.loading.Lock()
	defer g.loading.Unlock()
	src, err := policySource(ctx, g.cfg.Load(), g.db)
	before := g.engine.Revision()
	if err == nil {
		_, err = g.loadPolicies(ctx, src)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("loading policies: %w", err) // stopped, which says nothing about the set
	}
	if err != nil {
		return fmt.Errorf("loading policies, the set in force stays: %w", g.refusePolicies(ctx, err))
	}
	if g.bundles == nil { // of a bundle, poll says what is wrong
		g.policyFault.Store(nil)
	}
	g.tookForce(ctx, src)
	if after := g.engine.Revision(); after != before {
		g.logger.Info("policies in force", "revision", after)
		g.policiesLoaded(ctx, src, after)
	}
	return nil
}

// refusePolicies notes for readiness and records that a policy set was not put
// in force, and returns err.
func (g *gateway) refusePolicies(ctx context.Context, err error) error {
	fault := err.Error()
	g.policyFault.Store(&fault)
	g.recordPolicy(ctx, "policy.refused", g.engine.Revision(), fault)
	return err
}

func (g *gateway) recordPolicy(ctx context.Context, action, revision, fault string) {
	r := &policy.Record{Type: policy.RecordPolicy, Time: time.Now().UTC(), Action: action, Result: "ok", Actor: operator.Account, Revision: revision}
	if fault != "" {
		r.Result, r.Detail = "refused", map[string]string{"fault": fault}
	}
	if _, err := g.log.Record(ctx, r); err != nil {
		g.logger.Error("recording a policy change", "err", err)
	}
}
