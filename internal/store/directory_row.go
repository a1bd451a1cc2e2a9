package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// The tables with many rows are read as one column a row: each column costs
// more than what is in it. No value holds the separator, a control character.
const (
	separator      = "\x1f"
	accountColumns = `SELECT concat_ws(char(31), id, email, name, ifnull(vendor, ''), roles, ifnull(ends, ''), disabled, created,
		ifnull(enrolled_at, ''), ifnull(last_login, ''), time_zone, log_clusters) FROM account`
	assignmentColumns = `SELECT concat_ws(char(31), account, cluster, engagement, starts, ends, access, methods, paths, reason, given_by) FROM assignment`
)

// A row is the columns of a row, read one after the other.
type row struct {
	rest string
	err  error
}

func scanRow(r *sql.Rows) (row, error) {
	var s string
	err := r.Scan(&s)
	return row{rest: s}, err
}

func (r *row) text() string {
	s, rest, ok := strings.Cut(r.rest, separator)
	if !ok {
		rest = ""
	}
	r.rest = rest
	return s
}

func (r *row) time() time.Time {
	s := r.text()
	if s == "" {
		return time.Time{}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		r.err = errors.Join(r.err, err)
	}
	return time.Unix(0, n).UTC()
}

// list reads a list of texts or the like; an empty one is nil.
func (r *row) list(to any) {
	s := r.text()
	if s == "[]" {
		return
	}
	r.err = errors.Join(r.err, json.Unmarshal([]byte(s), to))
}

func (x *loader) account(rows *sql.Rows) (directory.Account, error) {
	r, err := scanRow(rows)
	if err != nil {
		return directory.Account{}, err
	}
	a := directory.Account{ID: r.text(), Email: r.text(), Name: r.text(), Vendor: x.word(r.text())}
	if roles := r.text(); roles == contractorOnly {
		a.Roles = x.contractor[:]
	} else {
		r.err = json.Unmarshal([]byte(roles), &a.Roles)
	}
	a.Ends, a.Disabled, a.Created = r.time(), r.text() != "0", r.time()
	a.Status = policy.StatusInvited
	switch enrolled := r.time(); {
	case a.Disabled:
		a.Status = policy.StatusDisabled
	case !enrolled.IsZero():
		a.Status = policy.StatusActive
	}
	a.LastLogin = r.time()
	a.TimeZone = x.word(r.text())
	r.list(&a.LogClusters)
	if r.err != nil {
		return a, fmt.Errorf("account %s: %w", a.ID, r.err)
	}
	return a, nil
}

// contractorOnly is the commonest column of roles.
const contractorOnly = `["contractor"]`

func (x *loader) assignment(rows *sql.Rows) (directory.Assignment, error) {
	r, err := scanRow(rows)
	if err != nil {
		return directory.Assignment{}, err
	}
	id := r.text()
	a := directory.Assignment{Account: x.emails[id], Cluster: x.word(r.text()), Engagement: x.word(r.text()), Starts: r.time(), Ends: r.time(), Access: x.word(r.text())}
	r.list(&a.Methods)
	r.list(&a.Paths)
	a.Reason, a.GivenBy = x.word(r.text()), x.word(r.text())
	if r.err != nil {
		return a, fmt.Errorf("assignment of account %s: %w", id, r.err)
	}
	return a, nil
}

// word returns s as a text of its own, the same for the same s: rows share
// most of their words, and none keeps its whole row alive.
func (x *loader) word(s string) string {
	if w, ok := x.words[s]; ok {
		return w
	}
	w := strings.Clone(s)
	if len(x.words) < 1<<16 {
		x.words[w] = w
	}
	return w
}

// An instant is a time as the tables keep it: nanoseconds since 1970, NULL for
// the zero time.
type instant time.Time

// Scan reads a column.
func (t *instant) Scan(v any) error {
	switch n := v.(type) {
	case nil:
		*t = instant{}
	case int64:
		*t = instant(time.Unix(0, n).UTC())
	default:
		return fmt.Errorf("a time is kept as %T", v)
	}
	return nil
}

// column returns a time as a column's value.
func column(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

// jsonColumn reads a column that holds JSON.
type jsonColumn struct{ to any }

func scanJSON(to any) sql.Scanner { return jsonColumn{to} }

// Scan reads a column.
func (j jsonColumn) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is kept as %T", v)
	}
	return json.Unmarshal([]byte(s), j.to)
}

// asJSON returns a list as a column's value; none is [].
func asJSON[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}
