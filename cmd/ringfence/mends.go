package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

// mends tells the access log which records of sign-ins it takes to make room
// on a full disk: what administrators and the operator did, and that went well.
// The ends of others' sessions are not among them: such sessions are worth
// nothing without room, and an end that is recorded and cannot be stored is
// recorded again.
func (g *gateway) mends(r *policy.Record) bool {
	if r.Result != "ok" {
		return false
	}
	who := cmp.Or(r.Actor, r.Account)
	if who == auth.Operator {
		return true
	}
	s := g.snapshot.Load()
	if s == nil || who == "" {
		return false
	}
	a, ok := s.Account(who)
	return ok && a.Has(policy.Administrator)
}

// drainTo records what waits in the store's outbox. A record for which there
// is no room on a full disk does not hold up administrators' changes behind it.
func drainTo(l *accesslog.Log) func(context.Context, *policy.Record) (uint64, error) {
	return func(ctx context.Context, r *policy.Record) (uint64, error) {
		index, err := l.Record(ctx, r)
		if errors.Is(err, accesslog.ErrReserved) {
			err = errors.Join(store.ErrLater, err)
		}
		return index, err
	}
}
