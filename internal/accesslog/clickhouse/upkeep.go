package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/delivery"
)

var _ delivery.Keeper = (*Table)(nil)

// Replace implements [delivery.Keeper]: of several rows of one entry, the one
// that came last counts.
func (t *Table) Replace(ctx context.Context, batch []*accesslog.Entry) error {
	return t.Send(ctx, batch)
}

var partitionForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Purge implements [delivery.Keeper]. It has the parts of each month with such
// an entry merged into one, in which each entry is once, and needs OPTIMIZE on
// the table. The server removes the merged parts' files some minutes later.
func (t *Table) Purge(ctx context.Context, account string) error {
	parts, err := t.partitions(ctx, account)
	if err != nil {
		return err
	}
	for _, id := range parts {
		if !partitionForm.MatchString(id) {
			return fmt.Errorf("merging the table: the server names a partition %q", id)
		}
		if err := t.exec(ctx, url.Values{"optimize_throw_if_noop": {"1"}}, fmt.Sprintf("OPTIMIZE TABLE %s PARTITION ID '%s' FINAL", t.name, id), nil); err != nil {
			return fmt.Errorf("merging the table: %w", err)
		}
	}
	left, err := t.copies(ctx, account)
	if err == nil && left > 0 {
		err = errors.New("merging the table: rows that were replaced are still there")
	}
	return err
}

func (t *Table) partitions(ctx context.Context, account string) (out []string, err error) {
	s, cond := t.About(account)
	err = t.Run(ctx, fmt.Sprintf("SELECT DISTINCT _partition_id FROM %s WHERE %s", t.name, cond), s.Args, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		out = append(out, id)
		return err
	})
	return out, err
}

// copies returns how many rows about an account are there beside others of the same entry.
func (t *Table) copies(ctx context.Context, account string) (n int64, err error) {
	s, cond := t.About(account)
	err = t.Run(ctx, fmt.Sprintf(`SELECT toInt64(count()) - toInt64(uniqExact("index")) FROM %s WHERE %s`, t.name, cond), s.Args,
		func(scan func(...any) error) error { return scan(&n) })
	return n, err
}

// Trim implements [delivery.Keeper]. It needs ALTER DELETE on the table.
func (t *Table) Trim(ctx context.Context, first uint64) error {
	s, cond, n, err := t.Before(ctx, first)
	if e, ok := errors.AsType[*serverError](err); ok && e.code == unknownTable {
		return nil // nothing was delivered yet
	}
	if err != nil || n == 0 {
		return err
	}
	if err := t.exec(ctx, url.Values{"mutations_sync": {"2"}}, "ALTER TABLE "+t.name+" DELETE WHERE "+cond, s.Args); err != nil {
		return fmt.Errorf("removing entries that the log no longer has: %w", err)
	}
	return nil
}

const unknownTable = 60

// exec runs a statement without rows and returns once it is carried out.
func (t *Table) exec(ctx context.Context, settings url.Values, sql string, args []any) error {
	body, err := t.client.statement(ctx, settings, sql, args)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}
