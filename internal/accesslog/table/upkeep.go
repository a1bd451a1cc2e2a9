package table

import (
	"context"
	"fmt"
	"time"
)

// About returns a statement begun with the condition that an entry of this
// gateway's log is about an account, of something that the account did, or
// holds personal fields under the account's key.
func (e *Engine) About(account string) (*Statement, string) {
	s := &Statement{Dialect: e.Dialect}
	own, id := s.Text(e.Own), s.Text(account)
	sealed := s.Text("%" + likeEscapes.Replace(`"`+account+`":"`) + "%")
	return s, fmt.Sprintf("(origin = %s AND (account = %s OR actor = %s OR payload LIKE %s))", own, id, id, sealed)
}

// Mentioning returns the indexes from from on, in order, of the entries of this
// gateway's log that have to do with an account: that are about it, of something
// that it did, or with personal fields under its key.
func (e *Engine) Mentioning(ctx context.Context, account string, from uint64) ([]uint64, error) {
	s, cond := e.About(account)
	sql := fmt.Sprintf(`SELECT "index" FROM %s WHERE %s AND "index" >= %s ORDER BY "index"`, e.From, cond, s.Int(int64(from)))
	var out []uint64
	err := e.run(ctx, sql, s, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		out = append(out, uint64(n))
		return err
	})
	return out, err
}

// Oldest returns when the oldest entry of any log was made, the zero time where
// there is none.
func (e *Engine) Oldest(ctx context.Context) (at time.Time, err error) {
	sql := fmt.Sprintf("SELECT ns FROM %s ORDER BY ns LIMIT 1", e.From)
	err = e.run(ctx, sql, &Statement{Dialect: e.Dialect}, func(scan func(...any) error) error {
		var ns int64
		err := scan(&ns)
		at = time.Unix(0, ns).UTC()
		return err
	})
	return at, err
}

// Before returns a statement begun with the condition that an entry is of this
// gateway's log and lies before an index, and how many such there are.
func (e *Engine) Before(ctx context.Context, index uint64) (s *Statement, cond string, n int, err error) {
	s = &Statement{Dialect: e.Dialect}
	cond = fmt.Sprintf(`(origin = %s AND "index" < %s)`, s.Text(e.Own), s.Int(int64(index)))
	var count int64
	err = e.run(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", e.From, cond), s, func(scan func(...any) error) error { return scan(&count) })
	return s, cond, int(count), err
}
