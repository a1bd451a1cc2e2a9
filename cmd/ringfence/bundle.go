package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/bundle"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/rego"
)

// bundles brings the policies of a running gateway from signed bundles.
type bundles struct {
	keeper *bundle.Keeper
	studio *studio.Runner
	every  time.Duration
	logger *slog.Logger
	now    chan struct{}
	// refused is why the bundle that was looked at last is not in force. poll
	// alone touches it once the gateway is built.
	refused error
	said    string // the fault that was recorded last
	forced  uint64 // the number of the bundle in force
}

func newKeeper(cfg *config.Config) (*bundle.Keeper, error) {
	c := cfg.PolicyBundle
	pem, err := os.ReadFile(c.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("reading the key of policy bundles: %w", err)
	}
	return bundle.New(bundle.Config{File: c.File, URL: c.URL, Dir: paths{cfg.Data}.bundle(), Timeout: c.Timeout, CAFile: c.CAFile, TokenFile: c.TokenFile,
		Key: rego.BundleKey{PEM: string(pem), ID: c.KeyID, Algorithm: c.Algorithm, Scope: c.Scope}})
}

// bundledPolicies returns the modules of the last good bundle; before there is
// one, of the bundle that is published, which is not kept by this.
func bundledPolicies(ctx context.Context, cfg *config.Config) (rego.Source, error) {
	k, err := newKeeper(cfg)
	if err != nil {
		return nil, err
	}
	b, err := k.Last()
	if errors.Is(err, bundle.ErrNone) {
		b, _, err = k.Fetch(ctx)
	}
	return b.Modules, err
}

// buildBundles fetches the newest bundle before the gateway starts. Where it
// cannot be had or is refused, the last good one is in force; without one the
// gateway does not start.
func (g *gateway) buildBundles(ctx context.Context) error {
	cfg := g.cfg.Load()
	if !cfg.PolicyBundle.Enabled() {
		return nil
	}
	k, err := newKeeper(cfg)
	if err != nil {
		return err
	}
	g.bundles = &bundles{keeper: k, every: cfg.PolicyBundle.Poll, logger: g.logger, now: make(chan struct{}, 1),
		studio: studio.New(studio.Config{Command: policyWorker, Logger: g.logger})}
	last, lastErr := k.Last()
	g.bundles.forced = last.Number
	err = g.bundles.take(ctx)
	switch {
	case err == nil:
		if last, err = k.Last(); err == nil {
			g.bundles.forced = last.Number
		}
		return err
	case errors.Is(lastErr, bundle.ErrNone):
		return &hintError{fmt.Errorf("starting with the policies of a bundle: %w", err), "No bundle has been in force yet. Look with 'ringfence check'; the gateway does not start without its policies."}
	case lastErr != nil:
		return errors.Join(lastErr, err)
	}
	fault := err.Error()
	g.policyFault.Store(&fault)
	g.logger.Error("the newest policy bundle is not in force; the last good one is", "err", err)
	return nil
}

// take fetches, tries and keeps the bundle that is published, if it is new.
func (b *bundles) take(ctx context.Context) error {
	next, data, err := b.keeper.Fetch(ctx)
	if errors.Is(err, bundle.ErrUnchanged) {
		return b.refused
	}
	if err != nil {
		b.refused = nil
		if refusal(err) {
			b.refused = err
		}
		return err
	}
	b.refused = nil
	if err := b.try(ctx, next.Modules); err != nil {
		err = fmt.Errorf("the bundle with revision %.60q is refused: %w", next.Revision, err)
		if _, own := errors.AsType[*studio.LimitError](err); own || refusal(err) {
			b.refused = err
		} else {
			b.keeper.Forget() // the trial itself failed: it is tried again
		}
		return err
	}
	if err := b.keeper.Keep(next, data); err != nil {
		b.keeper.Forget()
		return err
	}
	return nil
}

// refusal reports whether a bundle is at fault, rather than the way to it.
func refusal(err error) bool {
	if _, ok := errors.AsType[*rego.BundleError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*bundle.OrderError](err); ok {
		return true
	}
	_, ok := errors.AsType[*unfitError](err)
	return ok
}

// An unfitError says what a trial found wrong with a policy set.
type unfitError struct{ what string }

func (e *unfitError) Error() string { return e.what }

// try compiles a set and runs its tests and the knock-out test in a process of
// its own: a bundle must pass what a draft must.
func (b *bundles) try(ctx context.Context, src rego.Source) error {
	r, err := b.studio.Check(ctx, studio.CheckRequest{Modules: src})
	if err != nil {
		return err
	}
	switch {
	case len(r.Diagnostics) > 0:
		return &unfitError{"compiling policies: " + r.Diagnostics[0].String()}
	case len(r.Failures) > 0:
		return &unfitError{"testing policies: " + r.Failures[0].String()}
	case len(r.Knockout.Holes) > 0:
		return &unfitError{"knocking out fields: " + r.Knockout.Holes[0].String()}
	case !r.Publishable():
		return &unfitError{"the policies did not pass their trial"}
	}
	return nil
}

// look has poll look for a newer bundle now. A nil b does nothing.
func (b *bundles) look() {
	if b == nil {
		return
	}
	select {
	case b.now <- struct{}{}:
	default:
	}
}

// poll puts newer bundles in force until ctx ends.
func (b *bundles) poll(ctx context.Context, g *gateway) error {
	tick := time.NewTicker(b.every)
	defer tick.Stop()
	if f := g.policyFault.Load(); f != nil { // found while the gateway was built
		b.say(ctx, g, *f)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-b.now:
		}
		err := b.take(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = b.force(ctx, g)
		}
		if err != nil {
			b.say(ctx, g, err.Error())
			continue
		}
		b.said = ""
	}
}

// force puts the last good bundle in force where it is not yet.
func (b *bundles) force(ctx context.Context, g *gateway) error {
	last, err := b.keeper.Last()
	if err != nil {
		return err
	}
	if last.Number != b.forced {
		if err := g.refresh(ctx, map[string]bool{store.KindPolicy: true}); err != nil {
			return err
		}
		b.forced = last.Number
	}
	g.policyFault.Store(nil)
	return nil
}

// say notes a fault for readiness, and records it unless it is the same as before.
func (b *bundles) say(ctx context.Context, g *gateway, fault string) {
	g.policyFault.Store(&fault)
	if fault == b.said {
		return
	}
	b.said = fault
	b.logger.Error("the newest policy bundle is not in force; the last good one is", "err", fault)
	g.recordPolicy(ctx, "policy.refused", g.engine.Revision(), fault)
}

// originOf says where a configuration has policies come from.
func originOf(cfg *config.Config) change.Origin {
	switch {
	case cfg.Policies != "":
		return change.Origin{Kind: "folder", Place: cfg.Policies}
	case cfg.PolicyBundle.Enabled():
		return change.Origin{Kind: "bundle", Place: bundle.Place(cfg.PolicyBundle.File, cfg.PolicyBundle.URL)}
	}
	return change.Origin{Kind: "console"}
}

// forced is which policies this process enforces, and since when.
type forced struct {
	revision string
	at       time.Time
}

// noteForce notes that a set was loaded, which may be the one from before.
func (g *gateway) noteForce() {
	revision := g.engine.Revision()
	if was := g.forced.Load(); was == nil || was.revision != revision {
		g.forced.Store(&forced{revision, time.Now().UTC()})
	}
}

// checkBundle looks at the bundle that is published, and keeps nothing.
func checkBundle(ctx context.Context, cfg *config.Config) (rego.Source, string, error) {
	k, err := newKeeper(cfg)
	if err != nil {
		return nil, "", err
	}
	b, _, err := k.Fetch(ctx)
	if err != nil {
		return nil, "", err
	}
	// What does not compile or pass its tests is told by whoever goes on with it.
	if r, err := commandTrial().Check(ctx, studio.CheckRequest{Modules: b.Modules}); err != nil {
		return nil, "", err
	} else if len(r.Knockout.Holes) > 0 {
		return nil, "", fmt.Errorf("knocking out fields: %s", r.Knockout.Holes[0])
	}
	return b.Modules, fmt.Sprintf("policy bundle: %s has a good signature and revision %s (%s)", bundle.Place(cfg.PolicyBundle.File, cfg.PolicyBundle.URL), strings.TrimSpace(b.Revision), plural(len(b.Modules), "file")), nil
}
