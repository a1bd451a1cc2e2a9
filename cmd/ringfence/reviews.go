package main

import (
	"context"
	"fmt"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/review"
)

// consoleReviews is what reviewers keep, as the pages show and change it: a
// change is in the access log when the call returns.
type consoleReviews struct{ g *gateway }

// Searches returns what an account sees.
func (c consoleReviews) Searches(ctx context.Context, account string) ([]review.Search, error) {
	return c.g.db.Searches(ctx, account)
}

// SaveSearch keeps a search.
func (c consoleReviews) SaveSearch(ctx context.Context, actor directory.Actor, s review.Search) (review.Search, error) {
	s, err := c.g.db.SaveSearch(ctx, actor, s)
	if err != nil {
		return s, err
	}
	return s, c.recorded(ctx)
}

// RemoveSearch forgets a search.
func (c consoleReviews) RemoveSearch(ctx context.Context, actor directory.Actor, id int64, version int) error {
	if err := c.g.db.RemoveSearch(ctx, actor, id, version); err != nil {
		return err
	}
	return c.recorded(ctx)
}

// SignOff keeps a sign-off.
func (c consoleReviews) SignOff(ctx context.Context, actor directory.Actor, s review.SignOff) (review.SignOff, error) {
	s, err := c.g.db.SignOff(ctx, actor, s)
	if err != nil {
		return s, err
	}
	return s, c.recorded(ctx)
}

// SignOffsOf returns the sign-offs of a query.
func (c consoleReviews) SignOffsOf(ctx context.Context, query string, past uint64) ([]review.SignOff, error) {
	return c.g.db.SignOffsOf(ctx, query, past)
}

// SignOffs returns the newest sign-offs.
func (c consoleReviews) SignOffs(ctx context.Context, before int64, limit int) ([]review.SignOff, error) {
	return c.g.db.SignOffs(ctx, before, limit)
}

// recorded moves what was just kept to the access log.
func (c consoleReviews) recorded(ctx context.Context) error {
	if _, err := c.g.db.Drain(ctx, drainTo(c.g.log)); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}
