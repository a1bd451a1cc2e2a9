package main

import (
	"context"
	"maps"
	"time"

	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/rego"
)

// consoleSets gives pages the policy sets that decide or have decided.
type consoleSets struct{ g *gateway }

var _ console.Sets = consoleSets{}

// InForce returns the set in force.
func (s consoleSets) InForce() (map[string]string, string) {
	if now := s.g.inForce.Load(); now != nil {
		return maps.Clone(map[string]string(now.modules)), now.revision
	}
	return nil, s.g.engine.Revision()
}

// Published asks the store, which notes what each set was called when it was put in force.
func (s consoleSets) Published(ctx context.Context, revision string, at time.Time) (int64, error) {
	return s.g.db.PublishedAs(ctx, revision, at)
}

// Decided looks for the set among what is in force and what was published. A
// revision of another version of Ringfence has other guardrails and is not found.
func (s consoleSets) Decided(ctx context.Context, revision string) (map[string]string, bool, error) {
	if m, now := s.InForce(); now == revision {
		return m, true, nil
	}
	if rego.RevisionOf(nil) == revision {
		return nil, true, nil
	}
	all, err := s.g.changes.Revisions(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, r := range all {
		whole, err := s.g.changes.Revision(ctx, r.ID)
		if err != nil {
			return nil, false, err
		}
		if rego.RevisionOf(whole.Modules) == revision {
			return whole.Modules, true, nil
		}
	}
	return nil, false, nil
}
