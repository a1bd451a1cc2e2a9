package main

import (
	"context"

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

func (d consoleDirectory) Accept(ctx context.Context, actor directory.Actor, a directory.Acceptance) error {
	if err := d.g.db.Accept(ctx, actor, a); err != nil {
		return err
	}
	return d.g.refresh(ctx, map[string]bool{store.KindDirectory: true})
}

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
