package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/store"
)

// consoleDirectory is the directory as the pages change it: what they change
// is recorded and in force when the call returns.
type consoleDirectory struct{ g *gateway }

func (d consoleDirectory) Snapshot() *directory.Snapshot { return d.g.snapshot.Load() }

func (d consoleDirectory) Change(ctx context.Context, actor directory.Actor, edit func(*directory.Directory) error) ([]directory.Change, error) {
	changes, err := d.g.db.Change(ctx, actor, edit)
	if err != nil || len(changes) == 0 {
		return changes, err
	}
	return changes, d.g.refresh(ctx, map[string]bool{store.KindDirectory: true})
}

func (d consoleDirectory) Accept(ctx context.Context, actor directory.Actor, a directory.Evidence) error {
	if err := d.g.db.Accept(ctx, actor, a); err != nil {
		return err
	}
	return d.g.refresh(ctx, map[string]bool{store.KindDirectory: true})
}

// consoleAgreements is what is kept of agreements, as the pages show it.
type consoleAgreements struct{ g *gateway }

func (a consoleAgreements) Versions(ctx context.Context, agreement string) ([]directory.AgreementVersion, error) {
	return a.g.db.AgreementVersions(ctx, agreement)
}

func (a consoleAgreements) Acceptances(ctx context.Context, agreement, account string) ([]directory.Evidence, error) {
	return a.g.db.Acceptances(ctx, agreement, account)
}

func (a consoleAgreements) Statement(ctx context.Context, actor directory.Actor, about console.Stated) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	what := stated{about.Agreement, about.Account, about.Version}
	b, err := stater{a.g.cfg.Load(), a.g.db}.make(ctx, what, actor.Email)
	if errors.Is(err, errNoAcceptance) {
		return nil, console.ErrNothingStated
	}
	if err != nil {
		return nil, err
	}
	if _, err := a.g.log.Record(ctx, recordStatement(what, actor)); err != nil {
		return nil, fmt.Errorf("recording a statement: %w", err)
	}
	return b, nil
}

// statementTime bounds the making of one statement for a page.
const statementTime = 20 * time.Second

// consoleStatus is how the gateway fares, for the overview.
type consoleStatus struct{ g *gateway }

func (s consoleStatus) OpenStreams() int { return s.g.proxy.OpenStreams() }

func (s consoleStatus) Clusters() []console.ClusterStatus {
	var out []console.ClusterStatus
	for _, u := range s.g.proxy.Upstreams() {
		out = append(out, console.ClusterStatus{Name: u.Cluster, Upstream: u.Upstream, Healthy: u.Healthy, Since: u.Since, Error: u.Error})
	}
	return out
}
