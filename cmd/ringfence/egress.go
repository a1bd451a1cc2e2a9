package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// restoreEgress counts what people were sent today, as the access log has it,
// against their egress budgets: a restart gives nobody a second one.
func (g *gateway) restoreEgress(ctx context.Context) error {
	f := accesslog.Filter{Type: string(policy.RecordOutcome), Since: time.Now().UTC().Truncate(24 * time.Hour)}
	err := g.log.Query(ctx, f, func(e *accesslog.Entry) bool {
		if e.BytesOut != nil {
			g.proxy.RestoreEgress(e.Account, e.Cluster, e.Time, *e.BytesOut)
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("reading what was sent today: %w", err)
	}
	return nil
}
