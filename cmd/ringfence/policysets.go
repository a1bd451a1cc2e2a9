package main

import (
	"context"
	"maps"

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

// Decided looks for the set among what is in force, what was published, and what
// other versions of Ringfence had in force under that name.
func (s consoleSets) Decided(ctx context.Context, revision string) (modules map[string]string, other string, ok bool, err error) {
	if m, now := s.InForce(); now == revision {
		return m, "", true, nil
	}
	if rego.RevisionOf(nil) == revision {
		return nil, "", true, nil
	}
	loaded, err := s.g.db.LoadedPolicies(ctx)
	if err != nil {
		return nil, "", false, err
	}
	for _, p := range loaded {
		if p.Revision != revision {
			continue
		}
		if rego.RevisionOf(p.Modules) != revision {
			other = p.Build
		}
		return p.Modules, other, true, nil
	}
	all, err := s.g.changes.Revisions(ctx)
	if err != nil {
		return nil, "", false, err
	}
	for _, r := range all { // one that nothing has noted
		whole, err := s.g.changes.Revision(ctx, r.ID)
		if err != nil {
			return nil, "", false, err
		}
		if rego.RevisionOf(whole.Modules) == revision {
			return whole.Modules, "", true, nil
		}
	}
	return nil, "", false, nil
}
