package main

import (
	"context"

	"github.com/ringfence/ringfence/internal/accesslog"
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

// consoleLog is the access log as the pages read it.
type consoleLog struct{ g *gateway }

func (l consoleLog) Query(ctx context.Context, f accesslog.Filter, yield func(*accesslog.Entry) bool) error {
	return accesslog.Query(ctx, paths{l.g.cfg.Load().Data}.log(), f, yield)
}
