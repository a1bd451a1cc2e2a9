package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/delivery"
)

var _ delivery.Keeper = (*Table)(nil)

// Replace implements [delivery.Keeper]. It needs UPDATE on the table.
func (t *Table) Replace(ctx context.Context, batch []*accesslog.Entry) error {
	if err := t.make(ctx); err != nil {
		return err
	}
	all := make([]string, 0, len(table.Columns))
	for _, c := range table.Columns {
		all = append(all, fmt.Sprintf("%s = EXCLUDED.%s", c, c))
	}
	return t.write(ctx, strings.Replace(t.insert, "DO NOTHING", `(origin, "index") DO UPDATE SET `+strings.Join(all, ", "), 1), batch)
}

// Purge implements [delivery.Keeper]. The database reuses the space of what was
// replaced; where the account may not order that, its own upkeep does so later.
func (t *Table) Purge(ctx context.Context, _ string) error {
	if _, err := t.pool.Exec(ctx, "VACUUM "+t.name); err != nil {
		return fmt.Errorf("tidying the table: %w", err)
	}
	return nil
}

// Trim implements [delivery.Keeper]. It needs DELETE on the table.
func (t *Table) Trim(ctx context.Context, first uint64) error {
	if err := t.make(ctx); err != nil {
		return err
	}
	s, cond, n, err := t.Before(ctx, first)
	if err != nil || n == 0 {
		return err
	}
	if _, err := t.pool.Exec(ctx, "DELETE FROM "+t.name+" WHERE "+cond, s.Args...); err != nil {
		return fmt.Errorf("removing entries that the log no longer has: %w", err)
	}
	return nil
}
