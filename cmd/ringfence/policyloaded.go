package main

import (
	"context"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// policiesLoaded records that a set is in force, with all that stands behind
// its revision: what the store cannot keep of it does not end the gateway,
// and a later comparison says that it does not know the set.
func (g *gateway) policiesLoaded(ctx context.Context, src rego.Source, revision string) {
	detail, _ := g.notePolicies(ctx, src, revision)
	r := &policy.Record{Type: policy.RecordPolicy, Time: time.Now().UTC(), Action: "policy.loaded", Result: "ok", Actor: operator.Account, Revision: revision, Detail: detail}
	if _, err := g.log.Record(ctx, r); err != nil {
		g.logger.Error("recording a policy change", "err", err)
	}
}

// policiesAtStart does the same before the log runs, and only where this build
// has never had the set in force: a start changes nothing otherwise.
func (g *gateway) policiesAtStart(ctx context.Context, src rego.Source, revision string) error {
	detail, fresh := g.notePolicies(ctx, src, revision)
	if !fresh {
		return nil
	}
	return g.db.Enqueue(ctx, &policy.Record{Type: policy.RecordPolicy, Time: time.Now().UTC(), Action: "policy.loaded", Result: "ok",
		Actor: operator.Account, Revision: revision, Detail: detail})
}

func (g *gateway) notePolicies(ctx context.Context, src rego.Source, revision string) (detail map[string]string, fresh bool) {
	p := store.LoadedPolicies{Revision: revision, Modules: src, Build: buildVersion(), OPA: rego.OPAVersion()}
	detail = map[string]string{"build": p.Build, "opa": p.OPA}
	id, fresh, err := g.db.NotePolicies(ctx, p)
	if err != nil {
		g.logger.Error("keeping which policies are in force", "revision", revision, "err", err)
	}
	if id > 0 {
		detail["policies"] = "policy:" + strconv.FormatInt(id, 10)
	}
	return detail, fresh
}
